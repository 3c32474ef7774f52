"""The two sentences that the whole course is told with; every number can be checked by hand."""

import torch

# fmt: off
VOCABULARY = (
    "<pad>", "<bos>", "<eos>", "I", "you", "like", "coffee", "green", "tea",
    "me", "te", "gusta", "el", "café", "té", "verde",
)
# fmt: on
PAD, BOS, EOS = 0, 1, 2

TOKENS_A = ("I", "like", "coffee", "<pad>")
TOKENS_B = ("you", "like", "green", "tea")
TARGET_A = ("<bos>", "me", "gusta", "el", "café", "<pad>")
TARGET_B = ("<bos>", "te", "gusta", "el", "té", "verde")


def ids(*sentences: tuple[str, ...]) -> torch.Tensor:
    """Return the token ids of sentences of one length, ``long [sentences, length]``."""
    return torch.tensor([[VOCABULARY.index(token) for token in sentence] for sentence in sentences])


#: long [2, 4] and its mask, 1 = real token.
INPUT_IDS = ids(TOKENS_A, TOKENS_B)
ATTENTION_MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])

#: Sentence A's attention as shares: a score is the logarithm of a whole number, so a weight is "what share of the row".
SHARES_A = torch.tensor([[1.0, 2, 1, 4], [2, 1, 1, 4], [1, 1, 2, 4], [1, 3, 4, 8]])
SCORES_A = SHARES_A.log()
#: The padding's value is loud on purpose: where it leaks, it is heard.
VALUES_A = torch.tensor([[1.0, 0], [0, 1], [1, 1], [8, 8]])

#: Sizes that never coincide, so that a wrong axis crashes instead of running silently.
BATCH, HEADS, HEAD_DIM, MODEL_DIM = 2, 3, 8, 24
