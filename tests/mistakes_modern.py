"""Wrong answers that nobody wrote into the specification: other spellings of its mistakes, and mistakes of their own."""

import functools
import itertools

import torch
import torch.nn.functional as F

# --- materialize


def ranges(sizes, device=None):
    return [torch.arange(size, device=device) for size in sizes]


def vmapped(*order, ask=lambda mask_mod: mask_mod):
    """Nested vmap, from the innermost axis; the order decides which axis comes to lie where."""

    def answer(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
        asked = ask(mask_mod)
        for axis in order:
            asked = torch.vmap(asked, in_dims=tuple(0 if place == axis else None for place in range(4)))
        return asked(*ranges((batch_size, num_heads, query_length, key_length), device))

    return answer


def views(ask):
    """The four ranges as views, and what is asked of them."""

    def answer(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
        b, h, q, k = ranges((batch_size, num_heads, query_length, key_length), device)
        shape = (batch_size, num_heads, query_length, key_length)
        return ask(mask_mod, b.view(-1, 1, 1, 1), h.view(-1, 1, 1), q.view(-1, 1), k, shape)

    return answer


def every_cell(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
    mask = torch.zeros(batch_size, num_heads, query_length, key_length, dtype=torch.bool, device=device)
    for b in range(batch_size):
        for h in range(num_heads):
            for q in range(query_length):
                for k in range(key_length):
                    mask[b, h, q, k] = mask_mod(torch.tensor(b), torch.tensor(h), torch.tensor(q), torch.tensor(k))
    return mask


def as_a_list(mask_mod, *sizes, device=None):
    """All cells in a list; of none, the list does not say that it is of bools."""
    cells = itertools.product(*ranges(sizes, device))
    return torch.tensor([bool(mask_mod(*cell)) for cell in cells], device=device).reshape(sizes)


def moved_afterwards(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
    """The indices are made on the default device, and only the answer is brought to the one that was asked for."""
    b, h, q, k = ranges((batch_size, num_heads, query_length, key_length))
    allowed = mask_mod(b[:, None, None, None], h[:, None, None], q[:, None], k)
    return allowed.expand(batch_size, num_heads, query_length, key_length).to("cpu" if device is None else device)


def reshaped(mask_mod, *sizes, device=None):
    """Takes for granted that each cell comes back."""
    return mask_mod(*torch.meshgrid(*ranges(sizes, device), indexing="ij")).reshape(sizes)


def on_the_default_device(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
    return vmapped(3, 2, 1, 0)(mask_mod, batch_size, num_heads, query_length, key_length)


# --- and_masks, or_masks


def in_a_loop(start, join):
    """Lambdas made in a loop, all of which look up the one name."""

    def answer(*mask_mods):
        parts = []
        for mask_mod in mask_mods:
            parts.append(lambda b, h, q, k: mask_mod(b, h, q, k))  # noqa: B023

        def joined(b, h, q, k):
            allowed = torch.full_like(q, start, dtype=torch.bool)
            for part in parts:
                allowed = join(allowed, part(b, h, q, k))
            return allowed

        return joined

    return answer


def overwritten(start):
    """`result` is set anew in each round, where it was to be joined."""

    def answer(*mask_mods):
        def joined(b, h, q, k):
            result = (q >= 0) == start
            for mask_mod in mask_mods:
                result = mask_mod(b, h, q, k)
            return result

        return joined

    return answer


def voted(end):
    def answer(*mask_mods):
        return lambda b, h, q, k: end(sum(mask_mod(b, h, q, k).int() for mask_mod in mask_mods), len(mask_mods))

    return answer


def started(start, join):
    """An honest loop with another start or operator."""

    def answer(*mask_mods):
        def joined(b, h, q, k):
            allowed = torch.full((), start, dtype=torch.bool, device=q.device)
            for mask_mod in mask_mods:
                allowed = join(allowed, mask_mod(b, h, q, k))
            return allowed

        return joined

    return answer


def two_of_them(join):
    def answer(*mask_mods):
        first, second = mask_mods[0], mask_mods[1]
        return lambda b, h, q, k: join(first(b, h, q, k), second(b, h, q, k))

    return answer


def stacked(*mask_mods):
    """Nothing brings the answers together."""
    return lambda b, h, q, k: torch.stack([mask_mod(b, h, q, k) for mask_mod in mask_mods])


def not_returned(*mask_mods):
    def joined(b, h, q, k):
        return torch.stack([mask_mod(b, h, q, k) for mask_mod in mask_mods]).all(0)


def filled_in_place(start, join):
    """Right for grids; under vmap the tensor of one cell is changed in place."""

    def answer(*mask_mods):
        def joined(b, h, q, k):
            shape = torch.broadcast_shapes(b.shape, h.shape, q.shape, k.shape)
            allowed = torch.full(shape, start, device=q.device)
            for mask_mod in mask_mods:
                getattr(allowed, join)(mask_mod(b, h, q, k))
            return allowed

        return joined

    return answer


def moved_to_the_default_device(*mask_mods):
    def joined(b, h, q, k):
        allowed = torch.ones(torch.broadcast_shapes(b.shape, h.shape, q.shape, k.shape), dtype=torch.bool)
        for mask_mod in mask_mods:
            allowed = allowed & mask_mod(b, h, q, k)
        return allowed

    return joined


def returned_at_once(start, join):
    """`return` stands inside the loop."""

    def answer(*mask_mods):
        def joined(b, h, q, k):
            allowed = torch.full_like(q, start, dtype=torch.bool)
            for mask_mod in mask_mods:
                allowed = join(allowed, mask_mod(b, h, q, k))
                return allowed
            return allowed

        return joined

    return answer


def of_none(said, join):
    """Right, but for what is said when there are no mask functions."""

    def answer(*mask_mods):
        if not mask_mods:
            return said
        return lambda b, h, q, k: functools.reduce(join, [mask_mod(b, h, q, k) for mask_mod in mask_mods])

    return answer


def asked_once(start, join):
    """The mask functions are used up when they have been asked once."""

    def answer(*mask_mods):
        left = iter(mask_mods)

        def joined(b, h, q, k):
            return functools.reduce(join, [mask_mod(b, h, q, k) for mask_mod in left], torch.full_like(q, start).bool())

        return joined

    return answer


def remembered(start, join):
    """What was said last time is joined with what is said now."""

    def answer(*mask_mods):
        allowed = torch.tensor(start)

        def joined(b, h, q, k):
            nonlocal allowed
            for mask_mod in mask_mods:
                allowed = join(allowed, mask_mod(b, h, q, k))
            return allowed

        return joined

    return answer


def in_any_order(start, join, *order):
    """Hands the indices over in another order."""

    def answer(*mask_mods):
        def joined(*cell):
            cell = [cell[place] for place in order]
            return functools.reduce(join, [m(*cell) for m in mask_mods], torch.full_like(cell[0], start).bool())

        return lambda b, h, q, k: joined(b, h, q, k)

    return answer


def joined_by(start, join, which):
    """Only some of the mask functions."""
    return lambda *mask_mods: started(start, join)(*mask_mods[which])


# --- sliding_window_mod


def windowed(rule, refuse=True):
    def answer(sliding_window):
        if refuse and sliding_window < 1:
            raise ValueError(f"sliding_window={sliding_window}")

        def mask_mod(b, h, q_idx, kv_idx):
            return rule(q_idx, kv_idx, sliding_window)

        return mask_mod

    return answer


def refuses_none(sliding_window):
    if not sliding_window:
        raise ValueError("no window")
    return windowed(lambda q, k, w: (k <= q) & (k > q - w), refuse=False)(sliding_window)


def checks_and_returns_nothing(sliding_window):
    if sliding_window < 1:
        raise ValueError("too small")

    def mask_mod(b, h, q_idx, kv_idx):
        return (kv_idx <= q_idx) & (kv_idx > q_idx - sliding_window)


def says_so(sliding_window):
    if sliding_window < 1:
        return lambda b, h, q, k: q == k
    return windowed(lambda q, k, w: (k <= q) & (k > q - w))(sliding_window)


def from_a_table(size):
    """Right for the first ``size`` places."""

    def rule(q, k, window):
        table = torch.ones(size, size, dtype=torch.bool, device=q.device)
        return (table.tril() & table.triu(1 - window))[q, k]

    return rule


def key_by_number(q, k, window):
    """Takes the keys that it is asked about for the first ones."""
    key = torch.arange(k.shape[-1], device=k.device) if k.dim() else k
    return (key <= q) & (q - key < window)


def up_to_64(q, k, window):
    """A loop of a fixed length."""
    allowed = q != q
    for steps in range(64):
        allowed = allowed | (q - k == steps) & (steps < window)
    return allowed


def of_none_elsewhere(say, join):
    """Right, but for a tensor of all cells that is made without a device where there is nothing to join."""

    def joined(*mask_mods):
        def of_none(b, h, q_idx, kv_idx):
            shape = torch.broadcast_shapes(b.shape, h.shape, q_idx.shape, kv_idx.shape)
            return torch.full(shape, say)

        def of_some(b, h, q_idx, kv_idx):
            return functools.reduce(join, [mask_mod(b, h, q_idx, kv_idx) for mask_mod in mask_mods])

        return of_some if mask_mods else of_none

    return joined


def renamed(say, join):
    """One rule after the other under one name; asked, each asks the newest, which is itself."""

    def joined(*mask_mods):
        def start(b, h, q_idx, kv_idx):
            return torch.full_like(q_idx, say, dtype=torch.bool)

        def behind(m):
            def rule(b, h, q_idx, kv_idx):
                return join(result(b, h, q_idx, kv_idx), m(b, h, q_idx, kv_idx))

            return rule

        result = start
        for m in mask_mods:
            result = behind(m)
        return result

    return joined


def refuses_by_assertion(sliding_window):
    if sliding_window < 1:
        raise AssertionError(f"a window of {sliding_window}")
    return windowed(lambda q, k, w: (k <= q) & (k > q - w))(sliding_window)


def as_triangles(q, k, window):
    """Two triangles of the shapes of the indices: the places that they hold are not looked at."""
    ones = torch.ones(q.shape[-2], k.shape[-1], dtype=torch.bool, device=q.device)
    return ones.tril() & ~ones.tril(-window)


# --- padding_mod


def looked_up(rule):
    def answer(attention_mask):
        return lambda b, h, q_idx, kv_idx: rule(attention_mask, b, h, q_idx, kv_idx)

    return answer


def expanded(attention_mask):
    """The mask of notebook 01, made once, whatever is asked."""
    return lambda b, h, q_idx, kv_idx: attention_mask.bool().unsqueeze(1).unsqueeze(1)


# --- document_mod


def documents(rule):
    return looked_up(lambda ids, b, h, q, k: rule(ids[b, q], ids[b, k], q, k))


def in_the_first_row(ids, b, h, q, k):
    row = ids[0]
    return (row[q] == row[k]) & (row[q] >= 0)


def one_by_one(numbers):
    """Goes through the documents."""

    def rule(ids, b, h, q, k):
        asking, asked = ids[b, q], ids[b, k]
        return functools.reduce(torch.logical_or, [(asking == n) & (asked == n) for n in numbers(ids)], q != q)

    return looked_up(rule)


def converted(convert):
    """Right for numbers that the conversion tells apart."""
    return looked_up(lambda ids, b, h, q, k: (convert(ids)[b, q] == convert(ids)[b, k]) & (ids[b, q] != -1))


# --- attention_sink_mod


def sinks(rule):
    def answer(sliding_window, num_sinks):
        return lambda b, h, q_idx, kv_idx: rule(q_idx, kv_idx, sliding_window, num_sinks)

    return answer


# --- document_ids


def searched(right=True, end=None, **keywords):
    def answer(cumulative_lengths, total_length):
        position = torch.arange(total_length, device=cumulative_lengths.device)
        document = torch.searchsorted(cumulative_lengths, position, right=right, **keywords) - 1
        return document if end is None else end(document, position, cumulative_lengths)

    return answer


def rest_hidden(document, position, borders):
    return document.masked_fill(position >= borders[-1], -1)


def repeated(numbers, rest):
    def answer(cumulative_lengths, total_length):
        lengths = cumulative_lengths.diff()
        ids = torch.repeat_interleave(numbers(lengths), lengths)
        return F.pad(ids, (0, total_length - len(ids)), value=rest) if rest is not None else ids

    return answer


def of_fifteen(cumulative_lengths, total_length):
    """A loop over a number of documents that is never reached in small examples."""
    position = torch.arange(total_length, device=cumulative_lengths.device)
    ids = torch.full_like(position, -1)
    borders = F.pad(cumulative_lengths, (0, 16), value=10**6)
    for number in range(15):
        inside = (position >= borders[number]) & (position < borders[number + 1])
        ids = torch.where(inside & (position < cumulative_lengths[-1]), number, ids)
    return ids


def count(lengths):
    return torch.arange(len(lengths), device=lengths.device)


def filled_slice_by_slice(cumulative_lengths, total_length):
    ids = torch.full((total_length,), -1, device=cumulative_lengths.device)
    borders = cumulative_lengths.tolist()
    for number, (start, end) in enumerate(itertools.pairwise(borders)):
        ids[start:end] = number
    return ids


def marks_at_the_borders(cumulative_lengths, total_length):
    """One mark a border: that of an empty document falls on the next one's."""
    marks = torch.zeros(total_length + 1, dtype=torch.long, device=cumulative_lengths.device)
    marks[cumulative_lengths[1:-1]] = 1
    return rest_hidden(marks.cumsum(0)[:-1], torch.arange(total_length), cumulative_lengths)


# --- packed_position_ids


def counted(begins, end=lambda positions, ids: positions.masked_fill(ids < 0, 0)):
    """The running maximum of where documents begin, with what goes wrong as arguments."""

    def answer(document_ids):
        column = torch.arange(document_ids.shape[1], device=document_ids.device).expand_as(document_ids)
        start = (column * begins(document_ids)).cummax(dim=1).values
        return end(column - start, document_ids)

    return answer


def border(ids):
    return F.pad((ids[:, 1:] != ids[:, :-1]).long(), (1, 0), value=1)


def document_by_document(numbers):
    def answer(document_ids):
        positions = torch.zeros_like(document_ids)
        for number in numbers(document_ids):
            own = (document_ids == number).long()
            positions = positions + (own.cumsum(dim=1) - 1) * own
        return positions

    return answer


def one_hot_of_16(document_ids):
    """As `document_by_document`, with sixteen documents at most."""
    own = F.one_hot(document_ids + 1, 16)
    return (own.cumsum(1) - 1).gather(2, (document_ids + 1)[..., None])[..., 0].masked_fill(document_ids == -1, 0)


def added_up(document_ids):
    column = torch.arange(document_ids.shape[1], device=document_ids.device)
    return (column - (column * border(document_ids)).cumsum(1)).masked_fill(document_ids == -1, 0)


def reset_in_a_loop(document_ids):
    positions = torch.zeros_like(document_ids)
    for column in range(1, document_ids.shape[1]):
        same = document_ids[:, column] == document_ids[:, column - 1]
        positions[:, column] = torch.where(same, positions[:, column - 1] + 1, 0)
    return positions.masked_fill(document_ids == -1, 0)


# --- block_map


def blocks(allowed, size, filler=False):
    edges = (0, -allowed.shape[1] % size, 0, -allowed.shape[0] % size)
    padded = F.pad(allowed, edges, value=filler)
    return padded.reshape(padded.shape[0] // size, size, padded.shape[1] // size, size)


def some(allowed, size, filler=False):
    return blocks(allowed, size, filler).any(3).any(1)


def every(allowed, size, filler=True):
    return blocks(allowed, size, filler).all(3).all(1)


def by_mean(allowed, size):
    """The mean over a block that was filled up: 1 only where nothing was added."""
    mean = blocks(allowed.float(), size, 0.0).mean((1, 3))
    return (mean > 0).long() + (mean == 1).long()


def by_pooling(allowed, size):
    return F.max_pool2d(allowed[None, None].float(), size, ceil_mode=True)[0, 0].long()


def nearly_full(allowed, size):
    mean = F.avg_pool2d(allowed[None, None].float(), size, ceil_mode=True)[0, 0]
    return (mean > 0).long() + (mean > 0.99).long()


def counted_in_bytes(allowed, size):
    """256 cells are counted as 0."""
    cells, real = (blocks(mask, size).sum((1, 3), dtype=torch.uint8) for mask in (allowed, torch.ones_like(allowed)))
    return (cells > 0).long() + (cells == real).long()


def in_a_loop_over_cells(allowed, size):
    """The first cells of all blocks, then the second ones …"""
    kinds = []
    for join, filler in ((torch.logical_or, False), (torch.logical_and, True)):
        edges = (0, -allowed.shape[1] % size, 0, -allowed.shape[0] % size)
        padded = F.pad(allowed, edges, value=filler)
        places = itertools.product(range(size), repeat=2)
        kinds.append(functools.reduce(join, [padded[row::size, column::size] for row, column in places]).long())
    return kinds[0] + kinds[1]


def unfolded(allowed, size):
    cells = allowed.unfold(0, size, size).unfold(1, size, size)
    return cells.any(3).any(2).long() + cells.all(3).all(2).long()


def pooled_without_ceiling(allowed, size):
    yes, no = (F.max_pool2d(mask[None, None].float(), size)[0, 0] for mask in (allowed, ~allowed))
    return (yes + 1 - no).long()


def viewed(allowed, size):
    cells = allowed.view(allowed.shape[0] // size, size, allowed.shape[1] // size, size)
    return cells.any(3).any(1).long() + cells.all(3).all(1).long()


def in_a_loop_over_blocks(allowed, size):
    rows = []
    for top in range(0, allowed.shape[0], size):
        cells = [allowed[top : top + size, left : left + size] for left in range(0, allowed.shape[1], size)]
        rows.append(torch.stack([cell.any().long() + cell.all().long() for cell in cells]))
    return torch.stack(rows)


def cut_in_memory_order(allowed, size):
    """`view(rows, columns, size, size)`, without swapping axes."""
    rows, columns = blocks(allowed, size).shape[0], blocks(allowed, size).shape[2]
    pieces = [blocks(allowed, size, filler).reshape(rows, columns, size * size) for filler in (False, True)]
    return pieces[0].any(2).long() + pieces[1].all(2).long()


# --- tree_attention_mask


def climbed(steps, above=lambda parents, node: parents[node], itself=True):
    """Walks up from each node, ``steps`` times at most."""

    def answer(parents):
        chain, size = parents.tolist(), len(parents)
        allowed = torch.zeros(size, size, dtype=torch.bool, device=parents.device)
        for node in range(size):
            if itself:
                allowed[node, node] = True
            walker, left = above(chain, node), steps
            while walker >= 0 and left:
                allowed[node, walker] = True
                walker, left = above(chain, walker), left - 1
        return allowed

    return answer


def rows_of_parents(parents):
    """A root's parent, -1, is taken for the last row."""
    allowed = torch.eye(len(parents)).bool()
    for node, parent in enumerate(parents.tolist()):
        allowed[node] = allowed[node] | allowed[parent]
    return allowed


def while_above_0(parents):
    allowed = torch.eye(len(parents), dtype=torch.bool, device=parents.device)
    for node in range(len(parents)):
        walker = parents[node].item()
        while walker > 0:
            allowed[node, walker] = True
            walker = parents[walker].item()
    return allowed


def squared_three_times(parents):
    step = (parents[:, None] == torch.arange(len(parents), device=parents.device)).float()
    reached = step + torch.eye(len(parents), device=parents.device)
    return torch.linalg.matrix_power(reached, 8) > 0 if len(parents) else reached > 0


def powers(parents):
    """The sum of the powers counts ways, as numbers."""
    step = F.one_hot(parents + 1, len(parents) + 1)[:, 1:].float()
    total = power = torch.eye(len(parents))
    for _ in range(len(parents)):
        power = power @ step
        total = total + power
    return total


MISTAKES: dict = {
    "materialize": [
        ("axes swapped", vmapped(2, 3, 1, 0)),
        ("axes swapped", vmapped(0, 1, 2, 3)),
        ("sentences and heads swapped", vmapped(3, 2, 0, 1)),
        ("sentences and heads swapped", vmapped(3, 2, 1, 0, ask=lambda f: lambda b, h, q, k: f(h, b, q, k))),
        ("query and key swapped in the call", vmapped(3, 2, 1, 0, ask=lambda f: lambda b, h, q, k: f(b, h, k, q))),
        ("not expanded", views(lambda mask_mod, b, h, q, k, shape: mask_mod(b, h, q, k))),
        ("not expanded", lambda *call, **device: vmapped(3, 2, 1, 0)(*call, **device)[0, 0]),
        (
            "the first sentence and head for all",
            views(lambda mask_mod, b, h, q, k, shape: mask_mod(b[0], h[0], q, k).expand(shape)),
        ),
        (
            "the first sentence and head for all",
            views(lambda mask_mod, b, h, q, k, shape: mask_mod(b * 0, h * 0, q, k).expand(shape)),
        ),
        (
            "indices side by side",
            lambda mask_mod, *sizes, device=None: mask_mod(*ranges(sizes, device)).expand(sizes),
        ),
        ("inverted", views(lambda mask_mod, b, h, q, k, shape: mask_mod(b, h, q, k).logical_not().expand(shape))),
        ("not bool", views(lambda mask_mod, b, h, q, k, shape: mask_mod(b, h, q, k).float() + torch.zeros(shape))),
        ("device forgotten", on_the_default_device),
        ("asked in a loop", every_cell),
        ("asked in a loop", as_a_list),
        ("device forgotten", moved_afterwards),
        (None, reshaped),
        (None, views(lambda mask_mod, b, h, q, k, shape: mask_mod(b + 1, h + 1, q + 1, k + 1).expand(shape))),
        (None, views(lambda mask_mod, b, h, q, k, shape: mask_mod(b, h, q + shape[3] - shape[2], k).expand(shape))),
    ],
    "and_masks": [
        ("device forgotten", of_none_elsewhere(True, torch.logical_and)),
        ("the new one asks itself", renamed(True, torch.logical_and)),
        ("binds only two", two_of_them(torch.logical_and)),
        ("only the last counts", in_a_loop(True, torch.logical_and)),
        ("only the last counts", overwritten(True)),
        ("only the last counts", lambda *mask_mods: functools.reduce(lambda one, other: one and other, mask_mods)),
        ("or for and", started(False, torch.logical_or)),
        ("or for and", lambda *mask_mods: lambda *cell: functools.reduce(torch.maximum, [m(*cell) for m in mask_mods])),
        ("wrong for none", started(False, lambda allowed, more: more if allowed.dim() == 0 else allowed & more)),
        ("wrong for none", lambda *mask_mods: lambda *cell: functools.reduce(torch.mul, [m(*cell) for m in mask_mods])),
        (None, lambda *mask_mods: started(True, torch.logical_and)(*mask_mods) if mask_mods else None),
        ("votes counted", voted(lambda votes, number: votes)),
        ("functions joined in place of answers", lambda *mask_mods: functools.reduce(lambda f, g: f & g, mask_mods)),
        ("`and` between tensors", lambda *mask_mods: lambda *cell: all(m(*cell) for m in mask_mods)),
        ("inverted", lambda *mask_mods: lambda *cell: ~started(True, torch.logical_and)(*mask_mods)(*cell)),
        ("not bool", lambda *mask_mods: lambda *cell: started(True, torch.logical_and)(*mask_mods)(*cell).long()),
        ("no function returned", not_returned),
        ("not as FlexAttention asks", filled_in_place(True, "logical_and_")),
        ("device forgotten", moved_to_the_default_device),
        (None, started(False, torch.logical_and)),
        (None, stacked),
        ("only the first counts", returned_at_once(True, torch.logical_and)),
        ("only the first counts", joined_by(True, torch.logical_and, slice(1))),
        ("query and key swapped in the call", in_any_order(True, torch.logical_and, 0, 1, 3, 2)),
        ("sentences and heads swapped", in_any_order(True, torch.logical_and, 1, 0, 2, 3)),
        (None, joined_by(True, torch.logical_and, slice(3))),
        (None, joined_by(True, torch.logical_and, slice(1, None))),
        (None, joined_by(True, torch.logical_and, slice(-1))),
        (None, of_none(lambda b, h, q, k: torch.full((1, 1, 1, 1), True), torch.logical_and)),
        (
            None,
            of_none(lambda b, h, q, k: torch.full((q.shape[2], k.shape[3]), True, device=q.device), torch.logical_and),
        ),
        (None, of_none(lambda b, h, q, k: torch.tensor([[[[True] * k.shape[-1]] * q.shape[-2]]]), torch.logical_and)),
        ("not as FlexAttention asks", asked_once(True, torch.logical_and)),
        ("not as FlexAttention asks", remembered(True, torch.logical_and)),
    ],
    "or_masks": [
        ("device forgotten", of_none_elsewhere(False, torch.logical_or)),
        ("the new one asks itself", renamed(False, torch.logical_or)),
        ("binds only two", two_of_them(torch.logical_or)),
        ("only the last counts", in_a_loop(False, torch.logical_or)),
        ("only the last counts", overwritten(False)),
        ("and for or", started(True, torch.logical_and)),
        ("and for or", lambda *mask_mods: lambda *cell: functools.reduce(torch.minimum, [m(*cell) for m in mask_mods])),
        ("starts from True", started(True, torch.logical_or)),
        ("either, but not both", started(False, torch.logical_xor)),
        ("either, but not both", started(False, torch.ne)),
        ("wrong for none", lambda *mask_mods: lambda *cell: functools.reduce(torch.add, [m(*cell) for m in mask_mods])),
        ("votes counted", voted(lambda votes, number: votes)),
        ("functions joined in place of answers", lambda *mask_mods: functools.reduce(lambda f, g: f | g, mask_mods)),
        ("`and` between tensors", lambda *mask_mods: lambda *cell: any(m(*cell) for m in mask_mods)),
        ("inverted", lambda *mask_mods: lambda *cell: ~started(False, torch.logical_or)(*mask_mods)(*cell)),
        ("no function returned", not_returned),
        ("not as FlexAttention asks", filled_in_place(False, "logical_or_")),
        (None, stacked),
        ("only the first counts", lambda *mask_mods: mask_mods[0]),
        (
            "votes counted",
            lambda *mask_mods: lambda b, h, q, k: sum([m(b, h, q, k) for m in mask_mods], start=torch.zeros_like(q)),
        ),
        ("only the first counts", returned_at_once(False, torch.logical_or)),
        ("only the first counts", joined_by(False, torch.logical_or, slice(1))),
        ("query and key swapped in the call", in_any_order(False, torch.logical_or, 0, 1, 3, 2)),
        ("sentences and heads swapped", in_any_order(False, torch.logical_or, 1, 0, 2, 3)),
        (None, joined_by(False, torch.logical_or, slice(3))),
        (None, joined_by(False, torch.logical_or, slice(1, None))),
        (None, joined_by(False, torch.logical_or, slice(-1))),
        (None, of_none(lambda b, h, q, k: torch.full((1, 1, 1, 1), False), torch.logical_or)),
        (
            None,
            of_none(lambda b, h, q, k: torch.full((q.shape[2], k.shape[3]), False, device=q.device), torch.logical_or),
        ),
        (None, of_none(lambda b, h, q, k: torch.tensor([[[[False] * k.shape[-1]] * q.shape[-2]]]), torch.logical_or)),
        ("not as FlexAttention asks", asked_once(False, torch.logical_or)),
        ("not as FlexAttention asks", remembered(False, torch.logical_or)),
    ],
    "sliding_window_mod": [
        ("window + 1", windowed(lambda q, k, w: (k <= q) & (k >= q - w))),
        ("window + 1", windowed(lambda q, k, w: torch.ge(q, k) & torch.le(q, k + w))),
        ("window - 1", windowed(lambda q, k, w: (k <= q) & (k > q - w + 1))),
        ("not causal", windowed(lambda q, k, w: k > q - w)),
        ("not causal", windowed(lambda q, k, w: torch.abs(k - q) < w)),
        ("no window", windowed(lambda q, k, w: (k <= q) & (q >= w - w))),
        ("itself left out", windowed(lambda q, k, w: (k < q) & (k >= q - w))),
        ("inverted", windowed(lambda q, k, w: (k > q) | (k <= q - w))),
        ("not bool", windowed(lambda q, k, w: (k <= q).int() * (k > q - w).int())),
        ("no ValueError", windowed(lambda q, k, w: (k <= q) & (k > q - w), refuse=False)),
        ("no ValueError", refuses_none),
        ("`and` between tensors", windowed(lambda q, k, w: 0 <= q - k < w)),
        ("`and` between tensors", windowed(lambda q, k, w: not (k > q) and k > q - w)),
        ("no function returned", checks_and_returns_nothing),
        ("no ValueError", says_so),
        ("no ValueError", lambda window: windowed(lambda q, k, w: (k <= q) & (k > q - w))(window if window > 1 else 1)),
        ("no ValueError", refuses_by_assertion),
        (None, windowed(as_triangles)),
        (None, windowed(from_a_table(9))),
        (None, windowed(from_a_table(1024))),
        (None, windowed(key_by_number)),
        (None, windowed(up_to_64)),
        (None, windowed(lambda q, k, w: (k <= q) & (q // w == k // w))),
    ],
    "padding_mod": [
        ("masks queries", looked_up(lambda mask, b, h, q, k: mask.bool()[b, q])),
        ("masks queries and keys", looked_up(lambda mask, b, h, q, k: mask.bool()[b, q] & mask.bool()[b, k])),
        ("the first sentence for all", looked_up(lambda mask, b, h, q, k: mask[0][k] > 0)),
        ("the first sentence for all", looked_up(lambda mask, b, h, q, k: mask[0][k])),
        ("indexed twice", looked_up(lambda mask, b, h, q, k: mask.bool()[b][k])),
        ("indices unused", expanded),
        ("~ on whole numbers", looked_up(lambda mask, b, h, q, k: torch.bitwise_not(mask)[b, k])),
        ("inverted", looked_up(lambda mask, b, h, q, k: mask[b, k] == 0)),
        ("inverted", looked_up(lambda mask, b, h, q, k: 1 - mask[b, k])),
        ("not bool", looked_up(lambda mask, b, h, q, k: mask[b, k])),
        ("no function returned", not_returned),
        (None, looked_up(lambda mask, b, h, q, k: mask.T[b, k] == 1)),
        ("no function returned", lambda attention_mask: attention_mask.bool()),
        (None, looked_up(lambda mask, b, h, q, k: (mask[b, k] == 1) & (k <= q))),
        (None, looked_up(lambda mask, b, h, q, k: mask[b, k].item() == 1)),
        (None, looked_up(lambda mask, b, h, q, k: mask[b, k] is True)),
        ("`and` between tensors", looked_up(lambda mask, b, h, q, k: not mask[b, k])),
        (None, looked_up(lambda mask, b, h, q, k: torch.take(mask, b * mask.shape[1] + k) == 1)),
        (None, looked_up(lambda mask, b, h, q, k: mask.bool()[b, torch.arange(k.numel()).view(k.shape)])),
    ],
    "document_mod": [
        ("first row's documents for all", looked_up(in_the_first_row)),
        ("first row's documents for all", looked_up(lambda ids, b, h, q, k: ids[0, q] - ids[0, k] == 0)),
        ("padding sees padding", looked_up(lambda ids, b, h, q, k: ~(ids[b, q] - ids[b, k]).bool())),
        ("padding sees or is seen", documents(lambda one, other, q, k: (one == other) | (other < 0))),
        ("padding sees or is seen", documents(lambda one, other, q, k: (one == other) | (one < 0))),
        ("padding sees itself", documents(lambda one, other, q, k: (one == other) & ((one >= 0) | (q == k)))),
        ("document 0 taken for padding", documents(lambda one, other, q, k: (one == other) & (one >= 1))),
        ("earlier documents seen", documents(lambda one, other, q, k: ~(one < other))),
        ("documents not compared", documents(lambda one, other, q, k: other >= 0)),
        ("causal, too", documents(lambda one, other, q, k: (one == other) & (one > -1) & (q >= k))),
        ("inverted", documents(lambda one, other, q, k: (one != other) | (one == -1))),
        ("not bool", documents(lambda one, other, q, k: (one == other).long() * (one != -1).long())),
        ("`and` between tensors", documents(lambda one, other, q, k: (one == other) and (one != -1))),
        ("`and` between tensors", documents(lambda one, other, q, k: one == other != -1)),
        (None, documents(lambda one, other, q, k: ((one - other).abs() <= 1) & (one >= 0) & (other >= 0))),
        ("no function returned", lambda ids: (ids.unsqueeze(1) == ids.unsqueeze(2)) & (ids >= 0).unsqueeze(1)),
        ("no function returned", not_returned),
        (None, documents(lambda one, other, q, k: (one == other) & (one != -1) & ((q - k).abs() < 2))),
        ("indices unused", looked_up(lambda ids, *cell: ids[:, None, :, None].eq(ids[:, None, None]))),
        (
            "indices unused",
            looked_up(lambda ids, *cell: ((ids[:, :, None] == ids[:, None]) & (ids >= 0)[:, None]).unsqueeze(1)),
        ),
        ("indexed twice", looked_up(lambda ids, b, h, q, k: (ids[b][q] == ids[b][k]) & (ids[b][q] >= 0))),
        (None, one_by_one(lambda ids: range(int(ids.max()) + 1))),
        (None, one_by_one(lambda ids: ids.unique()[1:] if ids.min() < 0 else ids.unique())),
        (None, one_by_one(lambda ids: range(1024))),
        (None, converted(lambda ids: ids.to(torch.int8))),
        (None, converted(lambda ids: ids.half())),
        (None, converted(lambda ids: ids.clamp(max=14))),
    ],
    "attention_sink_mod": [
        ("not causal", sinks(lambda q, k, w, n: (k > q - w) | (k < n))),
        ("not causal", sinks(lambda q, k, w, n: ((k - q).abs() < w) | (k < n))),
        ("sinks not causal", sinks(lambda q, k, w, n: (k <= q) & (q - k < w) | (k < n))),
        ("sinks only", sinks(lambda q, k, w, n: (k <= q) & (k < n))),
        ("window only", sinks(lambda q, k, w, n: (k <= q) & (k > q - w))),
        ("window + 1", sinks(lambda q, k, w, n: (k <= q) & ((k >= q - w) | (k < n)))),
        ("one sink too many", sinks(lambda q, k, w, n: (k <= q) & ((k > q - w) | (k < n + 1)))),
        ("one sink too few", sinks(lambda q, k, w, n: (k <= q) & ((k > q - w) | (k + 1 < n)))),
        ("queries for keys", sinks(lambda q, k, w, n: (k <= q) & ((k > q - w) | (q < n)))),
        ("inverted", sinks(lambda q, k, w, n: (k > q) | ((k <= q - w) & (k >= n)))),
        ("not bool", sinks(lambda q, k, w, n: (k <= q) * ((k > q - w) | (k < n)).float())),
        ("`and` between tensors", sinks(lambda q, k, w, n: k <= q and (k > q - w or k < n))),
        (None, sinks(lambda q, k, w, n: (k <= q) & (k > q - w - n))),
        (None, sinks(lambda q, k, w, n: k <= q)),
        ("window - 1", sinks(lambda q, k, w, n: (k <= q) & ((k >= q - w + 2) | (k < n)))),
        ("one sink for all", sinks(lambda q, k, w, n: (k <= q) & ((k > q - w) | (k == 0)))),
        ("one sink for all", sinks(lambda q, k, w, n: (k <= q) & ((k > q - w) | ((k == 0) if n else (k < 0))))),
        (None, sinks(lambda q, k, w, n: (k <= q) & ((k > q - w) | ((k < n) & (q - k < 9))))),
        (None, sinks(lambda q, k, w, n: from_a_table(16)(q, k, w) | (k < n) & (k <= q))),
        (None, sinks(lambda q, k, w, n: (k <= q) & ((k > q - w + n) | (k < n)))),
    ],
    "document_ids": [
        ("off by one at the border", searched(right=False)),
        ("off by one at the border", searched(right=False, end=rest_hidden)),
        ("off by one at the border", searched(right=False, end=lambda ids, at, borders: ids.clamp(min=0))),
        ("counted from 1", repeated(lambda lengths: count(lengths) + 1, -1)),
        ("counted from 1", repeated(lambda lengths: count(lengths) + 1, 0)),
        ("the rest numbered on", searched()),
        (
            "the rest counted as the last document",
            searched(end=lambda ids, at, borders: ids.clamp(max=len(borders) - 2)),
        ),
        ("the rest numbered 0", repeated(count, 0)),
        ("the rest left out", repeated(count, None)),
        (
            "borders taken for lengths",
            lambda borders, total: torch.repeat_interleave(torch.arange(len(borders)), borders),
        ),
        ("empty documents not counted", marks_at_the_borders),
        ("not long", searched(end=rest_hidden, out_int32=True)),
        ("not long", lambda borders, total: searched(end=rest_hidden)(borders, total).float()),
        (
            "device forgotten",
            lambda borders, total: torch.maximum(searched(end=rest_hidden)(borders, total), -torch.ones(total).long()),
        ),
        ("the rest numbered on", searched(end=lambda ids, at, borders: ids.masked_fill(at > borders[-1], -1))),
        (None, of_fifteen),
        (None, filled_slice_by_slice),
        (None, repeated(lambda lengths: count(lengths).flip(0), -1)),
    ],
    "packed_position_ids": [
        ("never restarts", lambda ids: torch.arange(ids.shape[1]).expand(ids.shape).contiguous()),
        ("never restarts", lambda ids: ((ids != -1).long().cumsum(-1) - 1) * (ids != -1)),
        ("restarts one late", counted(lambda ids: F.pad(border(ids), (1, 0))[:, :-1])),
        ("restarts one early", counted(lambda ids: F.pad((ids[:, 1:] != ids[:, :-1]).long(), (0, 1)))),
        ("starts at 1", counted(border, lambda positions, ids: (positions + 1) * (ids >= 0))),
        ("starts at 1", counted(border, lambda positions, ids: positions + 1)),
        ("runs through padding", counted(border, lambda positions, ids: positions)),
        ("-1 at padding", counted(border, lambda positions, ids: torch.where(ids == -1, ids, positions))),
        ("restarts only where the numbers grow", counted(lambda ids: F.pad(ids.diff() > 0, (1, 0)).long())),
        ("first row's documents for all", counted(lambda ids: border(ids[:1]))),
        ("document 0 taken for padding", counted(border, lambda positions, ids: positions * (ids > 0))),
        ("not long", counted(border, lambda positions, ids: (positions * (ids >= 0)).int())),
        ("device forgotten", lambda ids: counted(border)(ids).where(ids >= 0, torch.zeros(ids.shape).long())),
        ("starts added up", added_up),
        ("starts added up", lambda ids: added_up(ids).clamp(min=0)),
        (None, document_by_document(lambda ids: range(int(ids.max()) + 1))),
        (None, document_by_document(lambda ids: range(10))),
        (None, document_by_document(lambda ids: [number for number in ids.unique() if number >= 0])),
        (None, one_hot_of_16),
        (None, reset_in_a_loop),
        (None, lambda ids: counted(border)(ids.reshape(1, -1)).reshape(ids.shape)),
        (None, lambda ids: counted(border)(ids.flip(1)).flip(1)),
    ],
    "block_map": [
        (
            "full and partial swapped",
            lambda allowed, size: torch.where(every(allowed, size), 1, 2 * some(allowed, size)),
        ),
        ("ragged edge never full", by_mean),
        (
            "ragged edge never full",
            lambda allowed, size: some(allowed, size).long() + every(allowed, size, False).long(),
        ),
        (
            "ragged edge never empty",
            lambda allowed, size: some(allowed, size, True).long() + every(allowed, size, True).long(),
        ),
        ("full not told from partial", by_pooling),
        ("full not told from partial", some),
        ("partial taken for empty", lambda allowed, size: every(allowed, size).long()),
        ("partial taken for empty", every),
        ("inverted", lambda allowed, size: 2 - some(allowed, size).long() - every(allowed, size).long()),
        ("cells counted", lambda allowed, size: blocks(allowed, size).sum((1, 3))),
        ("not long", lambda allowed, size: some(allowed, size).int() + every(allowed, size).int()),
        (None, in_a_loop_over_blocks),
        ("axes swapped", lambda allowed, size: (some(allowed, size).long() + every(allowed, size)).T),
        ("ragged edge cut off", unfolded),
        ("ragged edge cut off", pooled_without_ceiling),
        ("ragged edge cut off", viewed),
        (None, nearly_full),
        (None, counted_in_bytes),
        (None, in_a_loop_over_cells),
        (None, cut_in_memory_order),
        (None, lambda allowed, size: 2 * some(allowed, size).long()),
    ],
    "tree_attention_mask": [
        ("not up to the root", climbed(1)),
        ("not up to the root", climbed(1, itself=False)),
        ("not up to the root", climbed(2)),
        ("plain causal", climbed(99, above=lambda chain, node: node - 1)),
        ("itself left out", climbed(99, itself=False)),
        ("descendants for ancestors", lambda parents: climbed(99)(parents).T.contiguous()),
        ("-1 taken for an index", rows_of_parents),
        (
            "the first node is everybody's root",
            lambda parents: climbed(99)(parents.clamp(min=0)),
        ),
        ("inverted", lambda parents: climbed(99)(parents).logical_not()),
        ("not bool", powers),
        ("not bool", lambda parents: climbed(99)(parents).long()),
        ("device forgotten", lambda parents: torch.eye(len(parents)).bool() | climbed(99)(parents)),
        (None, lambda parents: climbed(99)(parents) | climbed(99)(parents).T),
        ("siblings seen", lambda parents: climbed(99)(parents) | (parents[:, None] == parents)),
        ("root 0 left out", while_above_0),
        ("not up to the root", climbed(3)),
        ("not up to the root", climbed(4)),
        (None, climbed(8)),
        (None, climbed(20)),
        (None, squared_three_times),
    ],
}
