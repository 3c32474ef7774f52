"""Wrong answers that nobody wrote into the specification: other spellings of its mistakes, and mistakes of their own."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

LOWEST = torch.finfo(torch.float32).min


def lowest(dtype):
    return torch.finfo(dtype).min


# --- causal_mask


def ones(*shape, dtype=torch.bool, device=None):
    return torch.ones(*shape, dtype=dtype, device=device)


def looped_triangle(sequence_length, device=None):
    mask = torch.zeros(sequence_length, sequence_length, dtype=torch.bool, device=device)
    for query in range(sequence_length):
        mask[query, : query + 1] = True
    return mask


# --- causal_mask_with_past


def refuses_nothing(query_length, key_length, device=None):
    return ones(query_length, key_length, device=device).tril(key_length - query_length)


def asserts(query_length, key_length, device=None):
    assert key_length >= query_length
    return refuses_nothing(query_length, key_length, device)


def checked(form):
    def answer(query_length, key_length, device=None):
        if query_length > key_length:
            raise ValueError(f"key_length={key_length}")
        return form(query_length, key_length, device)

    return answer


def refuses_equal_lengths(query_length, key_length, device=None):
    if key_length <= query_length:
        raise ValueError("key_length")
    return refuses_nothing(query_length, key_length, device)


def past_and_triangle(value, square):
    """`cat` of the past's columns and the triangle, with what goes wrong as arguments."""

    def answer(queries, keys, device=None):
        past = torch.full((queries, keys - queries), value, dtype=torch.bool, device=device)
        return torch.cat([past, square(ones(queries, queries, device=device))], dim=1)

    return checked(answer)


def triangle_first(queries, keys, device=None):
    past = ones(queries, keys - queries, device=device)
    return torch.cat([ones(queries, queries, device=device).tril(), past], dim=1)


# --- sliding_window_mask


def two_triangles(above, below, anchored=True, check=True):
    """`tril` and `triu` with a diagonal each, which is where windows go wrong."""

    def answer(query_length, key_length, sliding_window, device=None):
        if check and sliding_window <= 0:
            raise ValueError("sliding_window")
        past = key_length - query_length if anchored else 0
        full = ones(query_length, key_length, device=device)
        return full.tril(past + above) & full.triu(past - sliding_window + below)

    return answer


def window_as_legacy(query_length, key_length, sliding_window, device=None):
    if sliding_window < 1:
        raise ValueError
    full = ones(query_length, key_length, device=device)
    return full.tril(key_length - query_length) & ~full.tril(-sliding_window)


def window_of(form, check=True):
    def answer(query_length, key_length, sliding_window, device=None):
        if check and sliding_window < 1:
            raise ValueError
        query = torch.arange(key_length - query_length, key_length, device=device).unsqueeze(1)
        return form(query, torch.arange(key_length, device=device).unsqueeze(0), sliding_window)

    return answer


def top_left_window(form):
    def answer(query_length, key_length, sliding_window, device=None):
        if sliding_window < 1:
            raise ValueError
        back = torch.arange(query_length, device=device)[:, None] - torch.arange(key_length, device=device)
        return form(back, sliding_window)

    return answer


def last_rows(form):
    def answer(query_length, key_length, sliding_window, device=None):
        return top_left_window(form)(key_length, key_length, sliding_window, device)[-query_length:]

    return answer


def window_type_error(query_length, key_length, sliding_window, device=None):
    if sliding_window < 1:
        raise TypeError("sliding_window")
    return two_triangles(0, 1)(query_length, key_length, sliding_window, device)


# --- prefix_lm_mask


def prefix_parts(prefix_lengths, sequence_length):
    position = torch.arange(sequence_length, device=prefix_lengths.device)
    inside = position < prefix_lengths[:, None]
    causal = ones(sequence_length, sequence_length, device=prefix_lengths.device).tril()
    return causal[None, None], inside[:, None, None, :], inside[:, None, :, None]


def prefix_of(form):
    return lambda prefix_lengths, sequence_length: form(*prefix_parts(prefix_lengths, sequence_length))


def looped_prefix(prefix_lengths, sequence_length):
    mask = ones(len(prefix_lengths), 1, sequence_length, sequence_length, device=prefix_lengths.device).tril()
    for row, length in enumerate(prefix_lengths.tolist()):
        mask[row, :, :length, :length] = True
    return mask


# --- decoder_attention_mask


def decoder_parts(mask):
    sequence = mask.shape[1]
    return ones(sequence, sequence, device=mask.device).tril()[None, None], mask.bool()[:, None, None, :]


def additive(allowed, dtype, number=None):
    return torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, lowest(dtype) if number is None else number)


def decoder_of(form, number=None):
    return lambda mask, dtype: additive(form(*decoder_parts(mask)).contiguous(), dtype, number)


def filled_twice_by_adding(mask, dtype):
    causal = torch.full((mask.shape[1],) * 2, lowest(dtype), dtype=dtype, device=mask.device).triu(1)
    padding = (1.0 - mask[:, None, None, :].to(dtype)) * lowest(dtype)
    return causal + padding


def halved_sum(mask, dtype):
    causal, padding = decoder_parts(mask)
    return additive(causal, dtype, lowest(dtype) / 2) + additive(padding, dtype, lowest(dtype) / 2)


def maximum_of_both(mask, dtype):
    causal, padding = decoder_parts(mask)
    return torch.maximum(additive(causal, dtype), additive(padding, dtype))


def as_generate_square(mask, dtype):
    causal = torch.nn.Transformer.generate_square_subsequent_mask(mask.shape[1], dtype=dtype)
    return causal + (1.0 - mask[:, None, None, :].to(dtype)) * lowest(dtype)


def padding_in(dtype, mask):
    """The padding's additive mask as tutorials write it."""
    return (1.0 - mask[:, None, None, :].to(dtype)) * lowest(dtype)


def triangle_in(dtype, mask, number=None):
    return torch.full((mask.shape[1],) * 2, lowest(dtype) if number is None else number, dtype=dtype).triu(1)


def endless_and_lowest(mask, dtype):
    padding = torch.zeros(mask.shape, dtype=dtype).masked_fill(mask == 0, lowest(dtype))
    return padding[:, None, None, :] + triangle_in(dtype, mask, -math.inf)


def endless_padding(mask, dtype):
    return torch.zeros(mask.shape, dtype=dtype).masked_fill(mask == 0, -math.inf)[:, None, None, :]


def endless_padding_and_lowest(mask, dtype):
    return triangle_in(dtype, mask) + endless_padding(mask, dtype)


def every_head(mask, dtype):
    causal, padding = decoder_parts(mask)
    return additive(causal & padding, dtype).expand(-1, 2, -1, -1)


# --- encoder_decoder_masks


class EncoderDecoderMasks(NamedTuple):
    encoder_self: torch.Tensor
    decoder_self: torch.Tensor
    cross: torch.Tensor


class Masks(NamedTuple):
    encoder_self: torch.Tensor
    decoder_self: torch.Tensor
    cross: torch.Tensor


def translator(encoder_self=None, decoder_self=None, cross=None, kind=EncoderDecoderMasks):
    def answer(source_mask, target_mask):
        source, target = (mask.bool()[:, None, None, :] for mask in (source_mask, target_mask))
        length = target_mask.shape[1]
        causal = ones(length, length, device=target_mask.device).tril()
        return kind(
            source if encoder_self is None else encoder_self(source, target, causal),
            target & causal if decoder_self is None else decoder_self(source, target, causal),
            source if cross is None else cross(source, target, causal),
        )

    return answer


def cross_square(source, target, causal):
    """The decoder's triangle laid over the source, as far as it reaches."""
    return ones(target.shape[-1], source.shape[-1], device=source.device).tril() & source


def shared_mask(source_mask, target_mask):
    target = target_mask.bool()[:, None, None, :]
    return EncoderDecoderMasks(source_mask.bool()[:, None, None, :], target, target)


# --- position_ids


def from_argmax(mask):
    return (torch.arange(mask.shape[1], device=mask.device) - mask.argmax(1, keepdim=True)).clamp(min=0)


def gpt_style(mask):
    ids = mask.long().cumsum(-1) - 1
    ids.masked_fill_(mask == 0, 1)
    return ids


def roberta_style(mask):
    return mask.cumsum(1) * mask + 1


def in_place(mask):
    mask.cumsum_(1)
    return (mask - 1).clamp_(min=0)


def looped_positions(mask):
    ids = torch.zeros_like(mask)
    for row in range(mask.shape[0]):
        count = 0
        for column in range(mask.shape[1]):
            if mask[row, column]:
                ids[row, column] = count
                count += 1
    return ids


# --- next_token_labels and assistant_labels


def shifted(asked, ignored=None, fill=None):
    """Labels in a new tensor, the last column ignored: the way most people write it."""

    def answer(input_ids, attention_mask, ignore_index=-100):
        labels = torch.full_like(input_ids, ignore_index if fill is None else fill)
        labels[:, :-1] = input_ids[:, 1:]
        keep = asked(attention_mask.bool())
        return labels.masked_fill(~keep, ignore_index if ignored is None else ignored)

    return answer


def ends(real):
    """Which positions have a real one behind them."""
    return F.pad(real[:, 1:], (0, 1))[:, : real.shape[1]]


def masked_first_then_shifted(input_ids, attention_mask, ignore_index=-100):
    labels = input_ids.masked_fill(attention_mask == 0, ignore_index)
    return torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], ignore_index)], 1)


def masked_by_padding_of_t(input_ids, attention_mask, ignore_index=-100):
    labels = torch.full_like(input_ids, ignore_index)
    labels[:, :-1] = input_ids[:, 1:]
    labels[attention_mask == 0] = ignore_index
    return labels


def hugging_face_labels(input_ids, attention_mask, ignore_index=-100):
    labels = input_ids.clone()
    labels[attention_mask == 0] = ignore_index
    return labels


def hidden_by_pad_id(input_ids, attention_mask, ignore_index=-100):
    labels = torch.full_like(input_ids, ignore_index)
    labels[:, :-1] = input_ids[:, 1:]
    labels[labels == 0] = ignore_index
    return labels


def aliased(input_ids, attention_mask, ignore_index=-100):
    real = attention_mask == 1
    labels = input_ids
    labels[:, :-1] = torch.where(real[:, :-1] & real[:, 1:], input_ids[:, 1:], ignore_index)
    labels[:, -1:] = ignore_index
    return labels


def cloned_then(*steps):
    """A clone (or a `roll`) of the ids, changed step by step, as people do who think in assignments."""

    def answer(input_ids, attention_mask, *assistant_mask, ignore_index=-100):
        labels = input_ids.clone()
        for step in steps:
            labels = step(labels, input_ids, attention_mask, ignore_index, *assistant_mask)
        return labels

    # The mask of the assistant comes before `ignore_index`, which is given by position in some calls.
    return {
        2: lambda input_ids, attention_mask, ignore_index=-100: answer(
            input_ids, attention_mask, ignore_index=ignore_index
        ),
        3: lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: answer(
            input_ids, attention_mask, assistant_mask, ignore_index=ignore_index
        ),
    }


def rolled(labels, ids, mask, ignored, *written):
    return labels.roll(-1, 1)


def rolled_right(labels, ids, mask, ignored, *written):
    return labels.roll(1, 1)


def sliced(labels, ids, mask, ignored, *written):
    labels[:, :-1] = labels[:, 1:].clone()
    return labels


def sliced_right(labels, ids, mask, ignored, *written):
    labels[:, 1:] = labels[:, :-1].clone()
    return labels


def last_ignored(labels, ids, mask, ignored, *written):
    labels[:, -1] = ignored
    return labels


def first_ignored(labels, ids, mask, ignored, *written):
    labels[:, 0] = ignored
    return labels


def padding_ignored(labels, ids, mask, ignored, *written):
    labels[mask == 0] = ignored
    return labels


def others_ignored(labels, ids, mask, ignored, written):
    labels[(written * mask) == 0] = ignored
    return labels


def bare_shift(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    return F.pad(input_ids[:, 1:], (0, 1), value=ignore_index)


def bare_shift_masked(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    return bare_shift(input_ids, None, None, ignore_index).masked_fill(attention_mask == 0, ignore_index)


def masked_bare_shift(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    return bare_shift(input_ids.masked_fill(attention_mask == 0, ignore_index), None, None, ignore_index)


def only_the_mask_shifted(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    return input_ids.masked_fill(F.pad(assistant_mask[:, 1:], (0, 1)) == 0, ignore_index)


def only_the_mask_rolled(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    return torch.where((assistant_mask * attention_mask).roll(-1, 1) == 1, input_ids, ignore_index)


def first_word_lost(input_ids, attention_mask, ignore_index=-100):
    labels = shifted(lambda real: real & ends(real))(input_ids, attention_mask, ignore_index)
    labels[:, 0] = ignore_index
    return labels


def looped_labels(input_ids, attention_mask, ignore_index=-100):
    labels = torch.full_like(input_ids, ignore_index)
    for position in range(input_ids.shape[1] - 1):
        asked = (attention_mask[:, position] == 1) & (attention_mask[:, position + 1] == 1)
        labels[:, position] = torch.where(asked, input_ids[:, position + 1], ignore_index)
    return labels


def of_assistant(asked, ignored=None):
    def answer(input_ids, attention_mask, assistant_mask, ignore_index=-100):
        labels = torch.full_like(input_ids, ignore_index)
        labels[:, :-1] = input_ids[:, 1:]
        keep = asked(attention_mask.bool(), assistant_mask.bool())
        return labels.masked_fill(~keep, ignore_index if ignored is None else ignored)

    return answer


def answers_masked_then_shifted(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    labels = torch.where(assistant_mask == 1, input_ids, ignore_index)
    return torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], ignore_index)], 1)


def answers_unshifted(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    return torch.where((assistant_mask * attention_mask) == 1, input_ids, ignore_index)


def shifted_then_masked_by_t(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    labels = masked_first_then_shifted(input_ids, attention_mask, ignore_index)
    labels[assistant_mask == 0] = ignore_index
    labels[attention_mask == 0] = ignore_index
    return labels


def first_turn_only(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    first = (assistant_mask.cumsum(1) > 0) & (assistant_mask == 1)
    ended = ((assistant_mask == 0) & (assistant_mask.cumsum(1) > 0)).cumsum(1) > 0
    return of_assistant(lambda real, written: real & ends(real) & ends(first & ~ended))(
        input_ids, attention_mask, assistant_mask, ignore_index
    )


def from_the_first_answer_on(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    begun = assistant_mask.cumsum(1) > 0
    return of_assistant(lambda real, written: real & ends(real) & ends(begun))(
        input_ids, attention_mask, assistant_mask, ignore_index
    )


def answers_in_place(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    keep = (attention_mask[:, :-1] * attention_mask[:, 1:] * assistant_mask[:, 1:]) == 1
    input_ids[:, :-1] = torch.where(keep, input_ids[:, 1:], ignore_index)
    input_ids[:, -1:] = ignore_index
    return input_ids


# --- dependency_matrix


def rows_of(seed):
    """One gradient a row, of what ``seed`` makes of an output; compared with 0."""

    def answer(function, inputs):
        leaf = inputs.clone().requires_grad_(True)
        output = function(leaf)
        rows = []
        for q in range(len(inputs)):
            (gradient,) = torch.autograd.grad(seed(output[q]), leaf, retain_graph=True)
            rows.append((gradient.abs() > 1e-7).any(-1))
        return torch.stack(rows)

    return answer


def backward_without_zeroing(function, inputs):
    leaf = inputs.clone().requires_grad_(True)
    output = function(leaf)
    rows = []
    for q in range(len(inputs)):
        output[q].sum().backward(retain_graph=True)
        rows.append((leaf.grad != 0).any(-1))
    return torch.stack(rows)


def one_backward(function, inputs):
    leaf = inputs.clone().requires_grad_(True)
    function(leaf).sum().backward()
    return leaf.grad.ne(0).any(-1).expand(len(inputs), -1)


def columns_of(function, inputs):
    """Rows and columns swapped: each output's gradient is written into a column."""
    matrix = torch.zeros(len(inputs), len(inputs), dtype=torch.bool)
    leaf = inputs.clone().requires_grad_(True)
    output = function(leaf)
    for q in range(len(inputs)):
        for component in output[q]:
            matrix[:, q] |= (torch.autograd.grad(component, leaf, retain_graph=True)[0] != 0).any(-1)
    return matrix


def without_leaf(function, inputs):
    output = function(inputs)
    rows = [torch.autograd.grad(output[q].sum(), inputs, retain_graph=True)[0] for q in range(len(inputs))]
    return (torch.stack(rows) != 0).any(-1)


def one_backward_without_leaf(function, inputs):
    function(inputs).sum().backward()
    return inputs.grad


def graph_freed(function, inputs):
    leaf = inputs.clone().requires_grad_(True)
    output = function(leaf)
    matrix = torch.zeros(len(inputs), len(inputs), dtype=torch.bool)
    for q in range(len(inputs)):
        for component in output[q]:
            leaf.grad = None
            component.backward()
            matrix[q] |= (leaf.grad != 0).any(-1)
    return matrix


def moved(change, compare):
    def answer(function, inputs):
        matrix = torch.zeros(len(inputs), len(inputs), dtype=torch.bool)
        before = function(inputs)
        for k in range(len(inputs)):
            other = inputs.clone()
            change(other, k)
            matrix[:, k] = compare(before, function(other))
        return matrix

    return answer


def add_one(x, k):
    x[k] += 1.0


def add_ten(x, k):
    x[k] += 10.0


def add_a_tenth(x, k):
    x[k] += 0.1


def add_a_hundredth(x, k):
    x[k] += 0.01


def double(x, k):
    x[k] *= 2


def negate(x, k):
    x[k] *= -1


def hundred(x, k):
    x[k] = 100.0


def zero(x, k):
    x[k] = 0


def add_unlike(x, k):
    x[k] += torch.tensor([0.5, -0.3, 0.9, 0.2, -0.7], dtype=x.dtype)[: x.shape[1]]


def differs(before, after):
    return (before != after).any(-1)


def not_close(before, after):
    return ~torch.isclose(before, after, atol=1e-6).all(-1)


def far_apart(before, after):
    return (before - after).abs().amax(-1) > 1e-5


def not_very_close(before, after):
    return ~torch.isclose(before, after).all(-1)


def jacobian(function, inputs):
    return torch.autograd.functional.jacobian(function, inputs)


def above(threshold):
    return lambda function, inputs: (jacobian(function, inputs).abs() > threshold).any(3).any(1)


def norm_above(threshold):
    return lambda function, inputs: jacobian(function, inputs).norm(dim=(1, 3)) > threshold


def moved_in_one_go(function, inputs):
    """Every position nudged in a copy of its own, all copies through the function at once."""
    steps = torch.eye(len(inputs), dtype=inputs.dtype)[:, :, None] * 0.01
    return (torch.vmap(function)(inputs + steps) != function(inputs)).any(-1).T


def central_differences(function, inputs):
    steps = torch.eye(inputs.numel(), dtype=inputs.dtype).view(-1, *inputs.shape) * 1e-3
    apart = torch.vmap(function)(inputs + steps) - torch.vmap(function)(inputs - steps)
    return (apart.abs() > 1e-6).any(-1).view(*inputs.shape, -1).any(1).T


def moved_and_transposed(function, inputs):
    return moved(add_one, differs)(function, inputs).T


def sums_in_columns(function, inputs):
    return rows_of(torch.sum)(function, inputs).T


def without_grad(function, inputs):
    with torch.no_grad():
        return (jacobian(function, inputs) * 0 != 0).any(3).any(1)


MISTAKES = {
    "causal_mask": [
        ("upper triangle", lambda sequence_length, device=None: ones(sequence_length, sequence_length).triu()),
        (
            "upper triangle",
            lambda sequence_length, device=None: ones(sequence_length, sequence_length, device=device).tril().T,
        ),
        (
            "upper triangle",
            lambda sequence_length, device=None: torch.triu(torch.ones(sequence_length, sequence_length)),
        ),
        (
            "diagonal excluded",
            lambda sequence_length, device=None: torch.ones(sequence_length, sequence_length).tril(-1).bool(),
        ),
        (
            "diagonal excluded",
            lambda sequence_length, device=None: torch.tril(torch.ones(sequence_length, sequence_length), diagonal=-1),
        ),
        (
            "inverted",
            lambda sequence_length, device=None: torch.triu(torch.ones(sequence_length, sequence_length), 1).bool(),
        ),
        (
            "inverted",
            lambda sequence_length, device=None: torch.triu(torch.ones(sequence_length, sequence_length), diagonal=1),
        ),
        ("inverted", lambda sequence_length, device=None: ~ones(sequence_length, sequence_length).tril()),
        ("not bool", lambda sequence_length, device=None: torch.tril(torch.ones(sequence_length, sequence_length))),
        ("not bool", lambda sequence_length, device=None: ones(sequence_length, sequence_length).tril().long()),
        (
            "additive mask",
            lambda sequence_length, device=None: torch.nn.Transformer.generate_square_subsequent_mask(sequence_length),
        ),
        (
            "additive mask",
            lambda sequence_length, device=None: torch.full((sequence_length,) * 2, -math.inf).triu(1),
        ),
        ("additive mask", lambda sequence_length, device=None: torch.full((sequence_length,) * 2, LOWEST).triu(1)),
        ("one word ahead", lambda sequence_length, device=None: ones(sequence_length, sequence_length).tril(1)),
        ("no triangle", lambda sequence_length, device=None: ones(sequence_length, sequence_length)),
        ("only itself", lambda sequence_length, device=None: torch.eye(sequence_length, dtype=torch.bool)),
        (
            "axes for batch and heads",
            lambda sequence_length, device=None: (
                ones(sequence_length, sequence_length).tril().view(1, 1, sequence_length, sequence_length)
            ),
        ),
        (
            "device forgotten",
            lambda sequence_length, device=None: torch.tril(torch.ones(sequence_length, sequence_length)).bool(),
        ),
        (
            "device forgotten",
            lambda sequence_length, device=None: (
                torch.arange(sequence_length) <= torch.arange(sequence_length).unsqueeze(1)
            ),
        ),
        (None, looped_triangle),
        (None, lambda sequence_length, device=None: ones(sequence_length, sequence_length).tril().tolist()),
        (None, lambda sequence_length, device=None: ones(4, 4).tril()),
        (None, lambda sequence_length, device=None: torch.full((sequence_length,) * 2, -math.inf).triu(0)),
        (None, lambda sequence_length, device=None: torch.ones(sequence_length, sequence_length).triu(1) * -math.inf),
        (None, lambda sequence_length, device=None: ones(sequence_length, sequence_length).tril().flip(0)),
        (None, lambda sequence_length, device=None: ones(sequence_length, sequence_length).tril().flip(1)),
        (None, lambda sequence_length, device=None: torch.ones(sequence_length, sequence_length).tril().half()),
    ],
    "causal_mask_with_past": [
        ("top-left alignment", checked(lambda q, k, device: ones(q, k, device=device).tril())),
        ("top-left alignment", lambda query_length, key_length, device=None: ones(query_length, key_length).tril()),
        ("top-left alignment", checked(lambda q, k, device: ones(k, k, device=device).tril()[:q])),
        ("top-left alignment", checked(lambda q, k, device: torch.tril(torch.ones(q, k)))),
        ("own key excluded", checked(lambda q, k, device: ones(q, k, device=device).tril(k - q - 1))),
        ("own key excluded", past_and_triangle(True, lambda square: square.tril(-1))),
        ("one key ahead", checked(lambda q, k, device: ones(q, k, device=device).tril(k - q + 1))),
        ("offset the wrong way", checked(lambda q, k, device: ones(q, k, device=device).tril(q - k))),
        ("past hidden", past_and_triangle(False, torch.tril)),
        ("past hidden", checked(lambda q, k, device: F.pad(ones(q, q, device=device).tril(), (k - q, 0)))),
        ("no triangle", checked(lambda q, k, device: ones(q, k, device=device))),
        ("upper triangle", checked(lambda q, k, device: ones(q, k, device=device).triu(k - q))),
        ("inverted", checked(lambda q, k, device: ones(q, k, device=device).triu(k - q + 1))),
        ("inverted", checked(lambda q, k, device: torch.triu(torch.ones(q, k), diagonal=k - q + 1))),
        ("not bool", checked(lambda q, k, device: torch.tril(torch.ones(q, k), diagonal=k - q))),
        ("not bool", lambda query_length, key_length, device=None: refuses_nothing(query_length, key_length).int()),
        ("additive mask", checked(lambda q, k, device: torch.full((q, k), -math.inf).triu(k - q + 1))),
        ("axes swapped", checked(lambda q, k, device: refuses_nothing(q, k, device).mT)),
        ("every key asks", checked(lambda q, k, device: ones(k, k, device=device).tril())),
        ("no columns for the past", checked(lambda q, k, device: ones(q, q, device=device).tril())),
        ("own key excluded", checked(lambda q, k, device: ones(k, k, device=device).tril(-1)[-q:])),
        ("fewer keys not refused", refuses_nothing),
        (
            "fewer keys not refused",
            lambda query_length, key_length, device=None: (
                torch.arange(key_length, device=device)
                <= torch.arange(query_length, device=device)[:, None] + key_length - query_length
            ),
        ),
        ("device forgotten", checked(lambda q, k, device: ones(q, k).tril(k - q))),
        (None, asserts),
        (None, refuses_equal_lengths),
        (None, checked(triangle_first)),
        (None, past_and_triangle(True, torch.triu)),
        (None, checked(lambda q, k, device: refuses_nothing(q, k, device)[None, None])),
        (None, checked(lambda q, k, device: ones(q, k, device=device).tril(k // 2))),
    ],
    "sliding_window_mask": [
        ("window + 1", two_triangles(0, 0)),
        ("window + 1", window_of(lambda q, k, w: (k <= q) & (k >= q - w))),
        ("window + 1", window_of(lambda q, k, w: (k <= q) & ~(k < q - w))),
        ("window - 1", two_triangles(0, 2)),
        ("window - 1", window_of(lambda q, k, w: (k <= q) & (k > q - w + 1))),
        ("not causal", window_of(lambda q, k, w: (q - k).abs() < w)),
        ("not causal", window_of(lambda q, k, w: k > q - w)),
        ("not causal", window_of(lambda q, k, w: (k > q - w) & (k < q + w))),
        ("top-left alignment", two_triangles(0, 1, anchored=False)),
        ("no window", window_of(lambda q, k, w: k <= q)),
        (
            "no window",
            lambda query_length, key_length, sliding_window, device=None: refuses_nothing(query_length, key_length),
        ),
        ("itself left out", window_of(lambda q, k, w: (k < q) & (k >= q - w))),
        ("itself left out", two_triangles(-1, 1)),
        ("inverted", window_of(lambda q, k, w: (k > q) | (k <= q - w))),
        (
            "not bool",
            lambda query_length, key_length, sliding_window, device=None: two_triangles(0, 1)(
                query_length, key_length, sliding_window
            ).float(),
        ),
        ("additive mask", window_of(lambda q, k, w: torch.where((k <= q) & (k > q - w), 0.0, -math.inf))),
        (
            "axes swapped",
            lambda query_length, key_length, sliding_window, device=None: (
                two_triangles(0, 1)(query_length, key_length, sliding_window).mT
            ),
        ),
        ("a window below 1 not refused", two_triangles(0, 1, check=False)),
        ("a window below 1 not refused", window_of(lambda q, k, w: (k <= q) & (q - k < w), check=False)),
        ("a window below 1 not refused", window_of(lambda q, k, w: (k <= q) & ((q - k < w) | (w <= 0)), check=False)),
        ("blocks instead of a window", window_of(lambda q, k, w: (k <= q) & (q // w == k // w))),
        ("one window for all", window_of(lambda q, k, w: (k <= q) & (k >= k.shape[1] - w))),
        ("top-left alignment", window_as_legacy),
        ("top-left alignment", two_triangles(0, 0, anchored=False)),  # and window + 1
        ("top-left alignment", top_left_window(lambda back, w: back.abs() < w)),
        ("top-left alignment", top_left_window(lambda back, w: back < w)),
        ("not causal", window_of(lambda q, k, w: k >= q - w)),
        ("not causal", last_rows(lambda back, w: back.abs() < w)),
        ("window + 1", last_rows(lambda back, w: (back >= 0) & (back <= w))),
        (
            "device forgotten",
            lambda query_length, key_length, sliding_window, device=None: two_triangles(0, 1)(
                query_length, key_length, sliding_window
            ),
        ),
        (None, window_type_error),
        (None, window_of(lambda q, k, w: (k <= q) & (k % w == 0))),
        (None, window_of(lambda q, k, w: (k <= q) & ((q - k < w) | (k == 0)))),
        (None, window_of(lambda q, k, w: ((k <= q) & (q - k < w))[None, None])),
    ],
    "prefix_lm_mask": [
        ("prefix sees the suffix", prefix_of(lambda causal, keys, queries: causal | queries)),
        ("causal inside the prefix", prefix_of(lambda causal, keys, queries: causal.expand(len(keys), -1, -1, -1))),
        ("causal inside the prefix", prefix_of(lambda causal, keys, queries: causal & (keys | ~keys))),
        (
            "suffix does not see the prefix",
            prefix_of(lambda causal, keys, queries: (keys & queries) | (causal & ~keys & ~queries)),
        ),
        ("suffix reads both ways", prefix_of(lambda causal, keys, queries: ~queries | keys)),
        ("nothing but the prefix", prefix_of(lambda causal, keys, queries: keys & queries)),
        ("nothing but the prefix", prefix_of(lambda causal, keys, queries: keys & causal)),
        ("nothing but the prefix", prefix_of(lambda causal, keys, queries: keys.expand(-1, -1, keys.shape[-1], -1))),
        (
            "off by one",
            lambda prefix_lengths, sequence_length: prefix_of(lambda causal, keys, queries: causal | keys)(
                prefix_lengths + 1, sequence_length
            ),
        ),
        (
            "off by one",
            lambda prefix_lengths, sequence_length: prefix_of(lambda causal, keys, queries: causal | keys)(
                prefix_lengths - 1, sequence_length
            ),
        ),
        (
            "one prefix for all",
            lambda prefix_lengths, sequence_length: prefix_of(lambda causal, keys, queries: causal | keys)(
                prefix_lengths[0].expand(len(prefix_lengths)), sequence_length
            ),
        ),
        (
            "one prefix for all",
            lambda prefix_lengths, sequence_length: prefix_of(lambda causal, keys, queries: causal | keys)(
                torch.full_like(prefix_lengths, int(prefix_lengths.max())), sequence_length
            ),
        ),
        ("transposed", prefix_of(lambda causal, keys, queries: (causal | keys).mT)),
        ("transposed", prefix_of(lambda causal, keys, queries: causal.mT | (keys & queries))),
        ("inverted", prefix_of(lambda causal, keys, queries: ~(causal | keys))),
        ("not bool", prefix_of(lambda causal, keys, queries: (causal | keys).long())),
        ("no axis for the heads", prefix_of(lambda causal, keys, queries: (causal | keys).squeeze(1))),
        ("diagonal excluded", prefix_of(lambda causal, keys, queries: causal.tril(-1) | keys)),
        ("batch on the wrong axis", prefix_of(lambda causal, keys, queries: (causal | keys).transpose(0, 1))),
        (None, looped_prefix),
        (None, prefix_of(lambda causal, keys, queries: (causal | keys).expand(-1, 2, -1, -1))),
        (None, prefix_of(lambda causal, keys, queries: causal ^ keys)),
        (None, prefix_of(lambda causal, keys, queries: torch.where(causal | keys, 0.0, -math.inf))),
    ],
    "decoder_attention_mask": [
        ("two masks summed", filled_twice_by_adding),
        ("two masks summed", lambda mask, dtype: padding_in(torch.float32, mask) + triangle_in(torch.float32, mask)),
        (
            "two masks summed",
            lambda mask, dtype: (padding_in(torch.float32, mask) + triangle_in(torch.float32, mask)).to(dtype),
        ),
        ("two masks summed", lambda mask, dtype: padding_in(torch.float32, mask) + triangle_in(dtype, mask)),
        (
            "two masks summed",
            lambda mask, dtype: padding_in(dtype, mask) + triangle_in(torch.float32, mask, lowest(dtype)) * 1.0,
        ),
        ("two additive masks summed", as_generate_square),
        ("two additive masks summed", endless_and_lowest),
        ("two additive masks summed", endless_padding_and_lowest),
        (
            "two additive masks summed",
            lambda mask, dtype: (
                torch.nn.Transformer.generate_square_subsequent_mask(mask.shape[1]) + padding_in(dtype, mask)
            ),
        ),
        (
            "two additive masks summed",
            lambda mask, dtype: (padding_in(torch.float32, mask) + triangle_in(torch.float32, mask, -math.inf)).to(
                dtype
            ),
        ),
        ("no causal part", lambda mask, dtype: padding_in(torch.float32, mask)),
        ("no causal part", lambda mask, dtype: padding_in(torch.float32, mask).repeat(1, 1, mask.shape[1], 1)),
        ("no causal part", lambda mask, dtype: padding_in(torch.float32, mask).to(dtype)),
        ("no padding part", lambda mask, dtype: triangle_in(torch.float32, mask)),
        (
            "no padding part",
            lambda mask, dtype: triangle_in(torch.float32, mask)[None, None].repeat(len(mask), 1, 1, 1),
        ),
        ("no padding part", lambda mask, dtype: triangle_in(torch.float32, mask, lowest(dtype))[None, None]),
        ("-inf", lambda mask, dtype: torch.where(torch.mul(*decoder_parts(mask)), 0.0, -math.inf)),
        ("-inf", lambda mask, dtype: triangle_in(dtype, mask, -math.inf) + endless_padding(mask, dtype)),
        ("0 and 1 instead of what is added", lambda mask, dtype: ~torch.mul(*decoder_parts(mask))),
        ("no causal part", decoder_of(lambda causal, keys: keys & (causal | ~causal))),
        ("no causal part", lambda mask, dtype: (1.0 - mask[:, None, None, :].to(dtype)) * lowest(dtype)),
        ("no padding part", decoder_of(lambda causal, keys: causal.expand(len(keys), -1, -1, -1))),
        ("no padding part", decoder_of(lambda causal, keys: causal)),
        ("-inf", decoder_of(lambda causal, keys: causal & keys, number=-math.inf)),
        ("-inf", lambda mask, dtype: torch.where(torch.mul(*decoder_parts(mask)), 0.0, -math.inf).to(dtype)),
        ("a fixed number", decoder_of(lambda causal, keys: causal & keys, number=-1e9)),
        ("a fixed number", decoder_of(lambda causal, keys: causal & keys, number=-1e4)),
        ("a fixed number", lambda mask, dtype: torch.where(torch.mul(*decoder_parts(mask)), 0.0, -1e9).to(dtype)),
        (
            "float32's minimum in every dtype",
            lambda mask, dtype: additive(torch.mul(*decoder_parts(mask)), torch.float32).to(dtype),
        ),
        ("dtype ignored", lambda mask, dtype: additive(torch.mul(*decoder_parts(mask)), torch.float32)),
        ("inverted", decoder_of(lambda causal, keys: ~(causal & keys))),
        ("inverted", lambda mask, dtype: torch.mul(*decoder_parts(mask)).to(dtype) * lowest(dtype)),
        ("padding inverted", decoder_of(lambda causal, keys: causal & ~keys)),
        ("upper triangle", decoder_of(lambda causal, keys: causal.mT & keys)),
        ("upper triangle", decoder_of(lambda causal, keys: ~causal & keys)),
        ("diagonal excluded", decoder_of(lambda causal, keys: causal.tril(-1) & keys)),
        ("query rows instead of key columns", decoder_of(lambda causal, keys: causal & keys.mT)),
        ("query rows and key columns", decoder_of(lambda causal, keys: causal & keys & keys.mT)),
        ("or for and", decoder_of(lambda causal, keys: causal | keys)),
        ("or for and", maximum_of_both),
        ("empty rows opened", decoder_of(lambda causal, keys: (causal & keys) | ~(causal & keys).any(-1, True))),
        ("empty rows opened", decoder_of(lambda causal, keys: (causal & keys) | (causal & causal.mT))),
        ("no axis for the heads", lambda mask, dtype: additive(torch.mul(*decoder_parts(mask)), dtype).squeeze(1)),
        ("0 and 1 instead of what is added", lambda mask, dtype: torch.mul(*decoder_parts(mask))),
        ("0 and 1 instead of what is added", lambda mask, dtype: torch.mul(*decoder_parts(mask)).to(dtype)),
        ("1 - mask on a bool", lambda mask, dtype: (1 - torch.mul(*decoder_parts(mask))).to(dtype) * lowest(dtype)),
        (
            "whole numbers for bools",
            lambda mask, dtype: torch.zeros(len(mask), 1, *mask.shape[1:] * 2, dtype=dtype).masked_fill(
                ~(decoder_parts(mask)[0] * mask[:, None, None, :]), lowest(dtype)
            ),
        ),
        (None, halved_sum),
        (None, every_head),
        (None, lambda mask, dtype: (~torch.mul(*decoder_parts(mask))).to(dtype) * torch.finfo(dtype).max),
        (None, lambda mask, dtype: (~torch.mul(*decoder_parts(mask))).to(dtype) * torch.finfo(dtype).tiny),
        (None, lambda mask, dtype: additive(torch.mul(*decoder_parts(mask)), dtype, lowest(dtype) / 2)),
    ],
    "encoder_decoder_masks": [
        ("cross uses the target's mask", translator(cross=lambda source, target, causal: target)),
        ("cross uses the target's mask", translator(cross=lambda source, target, causal: target & causal)),
        (
            "cross uses the target's mask",
            translator(cross=lambda source, target, causal: target.repeat(1, 1, target.shape[-1], 1)),
        ),
        (
            "cross uses the target's mask",
            translator(cross=lambda source, target, causal: target.expand(-1, -1, source.shape[-1], -1)),
        ),
        ("cross uses the target's mask", translator(cross=lambda source, target, causal: source & target)),
        *(
            (
                "cross uses the target's mask",
                translator(decoder_self=form, cross=lambda source, target, causal: target),
            )
            for form in (
                lambda source, target, causal: causal.expand(len(source), 1, -1, -1),
                lambda source, target, causal: causal[None, None],
                lambda source, target, causal: causal[None],
                lambda source, target, causal: causal,
            )
        ),
        (
            "cross uses the target's mask",
            translator(
                decoder_self=lambda source, target, causal: causal[None, None],
                cross=lambda source, target, causal: target & causal,
            ),
        ),
        ("causal cross", translator(cross=cross_square)),
        ("causal cross", translator(cross=lambda source, target, causal: source & causal)),
        (
            "causal cross",
            translator(cross=lambda source, target, causal: source & ones(*[source.shape[-1]] * 2).tril()),
        ),
        (
            "causal cross",
            translator(cross=lambda source, target, causal: ones(target.shape[-1], source.shape[-1]).tril()),
        ),
        (
            "causal cross",
            translator(cross=lambda source, target, causal: ones(1, 1, target.shape[-1], source.shape[-1]).tril()),
        ),
        (
            "causal cross",
            translator(cross=lambda source, target, causal: ones(1, 1, source.shape[-1], target.shape[-1]).tril()),
        ),
        (
            "causal cross",
            translator(
                cross=lambda source, target, causal: ones(len(source), 1, source.shape[-1], target.shape[-1]).tril()
            ),
        ),
        (
            "causal cross",
            translator(
                encoder_self=lambda source, target, causal: source.repeat(1, 1, source.shape[-1], 1), cross=cross_square
            ),
        ),
        ("padding rows in cross", translator(cross=lambda source, target, causal: target.mT)),
        ("decoder without padding", translator(decoder_self=lambda source, target, causal: causal[None])),
        ("padding rows in cross", translator(cross=lambda source, target, causal: source & target.mT)),
        ("padding rows in cross", translator(cross=lambda source, target, causal: target.mT * source)),
        (
            "cross spelled out",
            translator(cross=lambda source, target, causal: source.repeat(1, 1, target.shape[-1], 1)),
        ),
        (
            "decoder without padding",
            translator(decoder_self=lambda source, target, causal: causal.expand(len(target), 1, -1, -1)),
        ),
        ("decoder without padding", translator(decoder_self=lambda source, target, causal: causal[None, None])),
        ("decoder without triangle", translator(decoder_self=lambda source, target, causal: target)),
        (
            "decoder without triangle",
            translator(decoder_self=lambda source, target, causal: target & (causal | ~causal)),
        ),
        (
            "causal encoder",
            translator(encoder_self=lambda source, target, causal: source & ones(*[source.shape[-1]] * 2).tril()),
        ),
        ("encoder uses the target's mask", translator(encoder_self=lambda source, target, causal: target)),
        ("source and target swapped", lambda source_mask, target_mask: translator()(target_mask, source_mask)),
        (
            "inverted",
            lambda source_mask, target_mask: EncoderDecoderMasks(
                *(~mask for mask in translator()(source_mask, target_mask))
            ),
        ),
        (
            "inverted",
            translator(
                lambda source, target, causal: ~source,
                lambda source, target, causal: ~(target & causal),
                lambda source, target, causal: ~source,
            ),
        ),
        ("upper triangle", translator(decoder_self=lambda source, target, causal: target & causal.mT)),
        ("upper triangle", translator(decoder_self=lambda source, target, causal: target & ~causal)),
        ("diagonal excluded", translator(decoder_self=lambda source, target, causal: target & causal.tril(-1))),
        ("or for and", translator(decoder_self=lambda source, target, causal: target | causal)),
        (
            "padding rows in the decoder",
            translator(decoder_self=lambda source, target, causal: target & target.mT & causal),
        ),
        (
            "not bool",
            lambda source_mask, target_mask: EncoderDecoderMasks(
                *(mask.long() for mask in translator()(source_mask, target_mask))
            ),
        ),
        (
            "no axes for heads and queries",
            lambda source_mask, target_mask: EncoderDecoderMasks(
                *(mask.squeeze(1) for mask in translator()(source_mask, target_mask))
            ),
        ),
        ("another container", translator(kind=lambda *masks: masks)),
        ("another container", translator(kind=lambda *masks: list(masks))),
        (
            "another container",
            translator(kind=lambda *masks: dict(zip(("encoder_self", "decoder_self", "cross"), masks, strict=True))),
        ),
        (None, translator(kind=Masks)),
        (None, translator(kind=lambda *masks: masks[:2])),
        (None, shared_mask),
        (None, translator(cross=lambda source, target, causal: None)),
        (None, translator(encoder_self=lambda source, target, causal: source.expand(-1, 3, -1, -1))),
        (None, translator(decoder_self=lambda source, target, causal: torch.where(target & causal, 0.0, -math.inf))),
    ],
    "position_ids": [
        ("arange", lambda mask: torch.arange(mask.shape[1], device=mask.device).repeat(mask.shape[0], 1)),
        ("arange", lambda mask: torch.arange(mask.shape[1], device=mask.device)),
        ("arange", lambda mask: torch.arange(mask.shape[1], device=mask.device).unsqueeze(0)),
        ("arange", lambda mask: torch.arange(mask.shape[1], device=mask.device).masked_fill(mask == 0, 0)),
        ("starts at 1", lambda mask: torch.cumsum(mask, dim=1)),
        ("starts at 1", lambda mask: torch.cumsum(mask, dim=1).masked_fill(mask == 0, 0)),
        ("starts at 1", lambda mask: torch.where(mask == 1, mask.cumsum(1), 1)),
        ("-1 at padding", lambda mask: torch.where(mask == 1, mask.cumsum(1) - 1, -1)),
        ("-1 at padding", lambda mask: torch.cumsum(mask, dim=-1) - 1),
        ("1 at padding", gpt_style),
        ("counts on over padding on the right", lambda mask: (torch.cumsum(mask, -1) - 1).clamp_min(0)),
        ("counts on over padding on the right", lambda mask: F.relu(mask.cumsum(1) - 1)),
        (
            "counts on over padding on the right",
            lambda mask: (torch.arange(mask.shape[1]) - (mask.cumsum(1) == 0).sum(1)[:, None]).clamp(0),
        ),
        ("counts the padding between", lambda mask: from_argmax(mask) * mask),
        ("counted over the batch", lambda mask: (torch.cumsum(mask, dim=0) - 1) * mask),
        ("counted from the end", lambda mask: (mask.flip(-1).cumsum(-1).flip(-1) - 1) * mask),
        ("not long", lambda mask: ((mask.cumsum(1) - 1) * mask).int()),
        ("not long", lambda mask: (mask.float().cumsum(1) - 1) * mask),
        (
            "one padding side for all",
            lambda mask: (torch.arange(mask.shape[1]) - (mask.cumsum(1) == 0).sum(1).max()).clamp(min=0) * mask,
        ),
        (None, roberta_style),
        ("counts on over padding on the right", in_place),
        (None, looped_positions),
        (None, lambda mask: (mask.cumsum(1) - 2).clamp(min=0) * mask),
        (None, lambda mask: mask.sum(1, keepdim=True) - 1),
        (None, lambda mask: ((mask.cumsum(1) - 1) * mask).tolist()),
        (None, lambda mask: torch.zeros_like(mask)),
        (None, lambda mask: mask),
    ],
    "next_token_labels": [
        ("not shifted", hugging_face_labels),
        ("not shifted", lambda input_ids, attention_mask, ignore_index=-100: input_ids.clone()),
        ("not shifted", lambda input_ids, attention_mask, ignore_index=-100: input_ids),
        (
            "shifted the wrong way",
            lambda input_ids, attention_mask, ignore_index=-100: torch.where(
                attention_mask == 1,
                torch.cat([torch.full_like(input_ids[:, :1], ignore_index), input_ids[:, :-1]], 1),
                ignore_index,
            ),
        ),
        (
            "shifted the wrong way",
            lambda input_ids, attention_mask, ignore_index=-100: torch.where(
                attention_mask == 1, input_ids.roll(1, dims=1), ignore_index
            ),
        ),
        (
            "padding kept as a label",
            lambda input_ids, attention_mask, ignore_index=-100: torch.cat(
                [input_ids[:, 1:], torch.full_like(input_ids[:, :1], ignore_index)], 1
            ),
        ),
        ("padding kept as a label", shifted(lambda real: real)),
        ("padding kept as a label", masked_by_padding_of_t),
        ("a padding position asked for the first word", masked_first_then_shifted),
        ("a padding position asked for the first word", shifted(ends)),
        (
            "the last position not ignored",
            lambda input_ids, attention_mask, ignore_index=-100: torch.where(
                (attention_mask == 1) & (attention_mask.roll(-1, 1) == 1), input_ids.roll(-1, 1), ignore_index
            ),
        ),
        (
            "the last position not ignored",
            lambda input_ids, attention_mask, ignore_index=-100: hugging_face_labels(
                input_ids, attention_mask, ignore_index
            ).roll(-1, 1),
        ),
        ("the last position not ignored", lambda input_ids, attention_mask, ignore_index=-100: input_ids.roll(-1, 1)),
        ("ignore_index fixed", shifted(lambda real: real & ends(real), ignored=-100, fill=-100)),
        ("0 for ignored", shifted(lambda real: real & ends(real), ignored=0, fill=0)),
        (
            "one column short",
            lambda input_ids, attention_mask, ignore_index=-100: shifted(lambda real: real & ends(real))(
                input_ids, attention_mask, ignore_index
            )[:, :-1],
        ),
        (
            "one column short",
            lambda input_ids, attention_mask, ignore_index=-100: torch.where(
                attention_mask[:, 1:] == 1, input_ids[:, 1:], ignore_index
            ),
        ),
        ("padding told by its id", hidden_by_pad_id),
        ("inverted", shifted(lambda real: ~(real & ends(real)))),
        (
            "not long",
            lambda input_ids, attention_mask, ignore_index=-100: shifted(lambda real: real & ends(real))(
                input_ids, attention_mask, ignore_index
            ).int(),
        ),
        ("the ids overwritten", aliased),
        ("padding kept as a label", cloned_then(rolled, last_ignored)[2]),
        ("padding kept as a label", cloned_then(rolled, last_ignored, padding_ignored)[2]),
        ("padding kept as a label", cloned_then(sliced, last_ignored, padding_ignored)[2]),
        ("a padding position asked for the first word", cloned_then(padding_ignored, rolled, last_ignored)[2]),
        ("the last position not ignored", cloned_then(sliced)[2]),
        ("the last position not ignored", cloned_then(sliced, padding_ignored)[2]),
        ("the last position not ignored", cloned_then(padding_ignored, sliced)[2]),
        ("shifted the wrong way", cloned_then(rolled_right, first_ignored, padding_ignored)[2]),
        ("shifted the wrong way", cloned_then(padding_ignored, sliced_right, first_ignored)[2]),
        ("shifted the wrong way", cloned_then(sliced_right, padding_ignored)[2]),
        ("not shifted", cloned_then(padding_ignored, last_ignored)[2]),
        (None, first_word_lost),
        (None, looped_labels),
        (None, shifted(lambda real: real | ends(real))),
        (None, lambda input_ids, attention_mask, ignore_index=-100: torch.full_like(input_ids, ignore_index)),
        (
            None,
            lambda input_ids, attention_mask, ignore_index=-100: shifted(lambda real: real & ends(real))(
                input_ids, attention_mask, ignore_index
            ).tolist(),
        ),
        (None, lambda input_ids, attention_mask, ignore_index=-100: input_ids.roll(-2, 1)),
    ],
    "assistant_labels": [
        ("judged by token t", of_assistant(lambda real, written: real & ends(real) & written)),
        ("judged by token t", shifted_then_masked_by_t),
        ("judged by both tokens", of_assistant(lambda real, written: real & ends(real) & written & ends(written))),
        ("not shifted", answers_unshifted),
        (
            "not shifted",
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: torch.where(
                assistant_mask == 1, input_ids, ignore_index
            ),
        ),
        ("the question's tokens kept", of_assistant(lambda real, written: real & ends(real))),
        (
            "the question's tokens kept",
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: hugging_face_labels(
                input_ids, attention_mask, ignore_index
            ),
        ),
        ("inverted", of_assistant(lambda real, written: real & ends(real & ~written))),
        ("padding kept as a label", answers_masked_then_shifted),
        ("padding kept as a label", of_assistant(lambda real, written: ends(written))),
        ("padding kept as a label", of_assistant(lambda real, written: real & ends(written))),
        ("padding kept as a label", of_assistant(lambda real, written: ends(real) & ends(written))),
        (
            "the last position not ignored",
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: torch.where(
                (attention_mask * attention_mask.roll(-1, 1) * assistant_mask.roll(-1, 1)) == 1,
                input_ids.roll(-1, 1),
                ignore_index,
            ),
        ),
        (
            "the last position not ignored",
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: answers_unshifted(
                input_ids, attention_mask, assistant_mask, ignore_index
            ).roll(-1, 1),
        ),
        ("ignore_index fixed", of_assistant(lambda real, written: real & ends(real & written), ignored=-100)),
        (
            "0 for ignored",
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: of_assistant(
                lambda real, written: real & ends(real & written)
            )(input_ids, attention_mask, assistant_mask, 0),
        ),
        (
            "one column short",
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: torch.where(
                (attention_mask[:, :-1] * attention_mask[:, 1:] * assistant_mask[:, 1:]) == 1,
                input_ids[:, 1:],
                ignore_index,
            ),
        ),
        (
            "shifted the wrong way",
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: torch.where(
                F.pad(attention_mask[:, 1:] * attention_mask[:, :-1] * assistant_mask[:, :-1], (1, 0))[
                    :, : input_ids.shape[1]
                ]
                == 1,
                input_ids.roll(1, 1),
                ignore_index,
            ),
        ),
        (
            "not long",
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: of_assistant(
                lambda real, written: real & ends(real & written)
            )(input_ids, attention_mask, assistant_mask, ignore_index).int(),
        ),
        ("the ids overwritten", answers_in_place),
        ("the question's tokens kept", bare_shift),
        ("the question's tokens kept", bare_shift_masked),
        ("the question's tokens kept", masked_bare_shift),
        ("the question's tokens kept", cloned_then(padding_ignored, rolled, last_ignored)[3]),
        ("not shifted", only_the_mask_shifted),
        ("not shifted", only_the_mask_rolled),
        ("not shifted", cloned_then(others_ignored, last_ignored)[3]),
        ("judged by token t", cloned_then(rolled, last_ignored, others_ignored)[3]),
        ("shifted the wrong way", cloned_then(rolled_right, first_ignored, others_ignored)[3]),
        (None, first_turn_only),
        (None, from_the_first_answer_on),
        (None, of_assistant(lambda real, written: real & ends(real & written) & ends(ends(real)))),
        (
            None,
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: torch.full_like(
                input_ids, ignore_index
            ),
        ),
        (
            None,
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: of_assistant(
                lambda real, written: real & ends(real & written)
            )(input_ids, attention_mask, assistant_mask, ignore_index).clamp(min=0),
        ),
    ],
    "dependency_matrix": [
        ("transposed", columns_of),
        ("transposed", lambda function, inputs: (jacobian(function, inputs).abs().sum((1, 3)) > 0).T),
        ("values compared instead of dependence", moved(add_one, not_close)),
        ("values compared instead of dependence", moved(add_ten, not_close)),
        ("values compared instead of dependence", moved(zero, differs)),
        ("values compared instead of dependence", moved(add_unlike, differs)),
        ("values compared instead of dependence", moved(add_unlike, not_close)),
        *(
            ("values compared instead of dependence", moved(change, compare))
            for change in (add_one, add_a_tenth, add_a_hundredth, double, negate, hundred, zero)
            for compare in (differs, not_very_close, far_apart)
        ),
        ("values compared instead of dependence", moved_in_one_go),
        ("values compared instead of dependence", central_differences),
        ("transposed", moved_and_transposed),
        ("transposed", sums_in_columns),
        *(("too coarse a threshold", above(threshold)) for threshold in (1e-1, 1e-2, 1e-3)),
        *(("too coarse a threshold", norm_above(threshold)) for threshold in (1e-2, 1e-3)),
        (
            "values compared instead of dependence",
            lambda function, inputs: torch.isclose(function(inputs)[:, None], inputs[None]).all(-1),
        ),
        (
            "values compared instead of dependence",
            lambda function, inputs: (function(inputs) != 0).any(-1, keepdim=True).expand(-1, len(inputs)),
        ),
        ("summed before the gradient", rows_of(torch.sum)),
        ("summed before the gradient", rows_of(torch.mean)),
        ("gradients summed with their signs", lambda function, inputs: jacobian(function, inputs).sum((1, 3)) != 0),
        ("one component only", rows_of(lambda output: output[0])),
        ("one component only", rows_of(lambda output: output[-1])),
        ("one component only", lambda function, inputs: jacobian(function, inputs)[:, 0, :, 0] != 0),
        ("negative gradients passed over", lambda function, inputs: (jacobian(function, inputs) > 0).any(3).any(1)),
        ("negative gradients passed over", lambda function, inputs: jacobian(function, inputs).sum((1, 3)) > 0),
        ("gradient of the whole output", one_backward),
        ("gradients accumulated", backward_without_zeroing),
        ("always a triangle", lambda function, inputs: ones(len(inputs), len(inputs)).tril()),
        ("not bool", lambda function, inputs: (jacobian(function, inputs).abs().amax((1, 3)) > 0).long()),
        ("not bool", lambda function, inputs: (jacobian(function, inputs) != 0).any(3).any(1).float()),
        ("the gradients themselves", lambda function, inputs: jacobian(function, inputs).norm(dim=(1, 3))),
        ("the gradients themselves", jacobian),
        ("components kept", lambda function, inputs: jacobian(function, inputs) != 0),
        ("inputs without gradients", without_leaf),
        ("inputs without gradients", one_backward_without_leaf),
        ("graph freed after the first gradient", graph_freed),
        (None, above(2)),
        (None, without_grad),
        (None, lambda function, inputs: torch.eye(len(inputs), dtype=torch.bool)),
        (None, lambda function, inputs: ones(len(inputs), len(inputs))),
        (None, lambda function, inputs: (jacobian(function, inputs) == 0).all(3).all(1)),
        (None, lambda function, inputs: (jacobian(function, inputs) != 0).any(3).any(1).tril()),
        (None, rows_of(torch.prod)),
    ],
}
