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
        (None, every_cell),
        (None, views(lambda mask_mod, b, h, q, k, shape: mask_mod(b + 1, h + 1, q + 1, k + 1).expand(shape))),
        (None, views(lambda mask_mod, b, h, q, k, shape: mask_mod(b, h, q + shape[3] - shape[2], k).expand(shape))),
    ],
    "and_masks": [
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
        ("for whole grids only", filled_in_place(True, "logical_and_")),
        ("device forgotten", moved_to_the_default_device),
        (None, started(False, torch.logical_and)),
        (None, stacked),
    ],
    "or_masks": [
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
        ("for whole grids only", filled_in_place(False, "logical_or_")),
        (None, stacked),
        (None, lambda *mask_mods: mask_mods[0]),
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
        (None, says_so),
        (None, windowed(as_triangles)),
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
        (None, lambda allowed, size: (some(allowed, size).long() + every(allowed, size)).T),
        (None, cut_in_memory_order),
        (None, lambda allowed, size: 2 * some(allowed, size).long()),
    ],
    "tree_attention_mask": [
        ("parent only", climbed(1)),
        ("parent only", climbed(1, itself=False)),
        ("parent only", climbed(2)),
        ("plain causal", climbed(99, above=lambda chain, node: node - 1)),
        ("itself left out", climbed(99, itself=False)),
        ("descendants for ancestors", lambda parents: climbed(99)(parents).T.contiguous()),
        ("-1 taken for an index", rows_of_parents),
        (
            "the first node is everybody's root",
            lambda parents: climbed(9)(parents.clamp(min=0)),
        ),
        ("inverted", lambda parents: climbed(99)(parents).logical_not()),
        ("not bool", powers),
        ("not bool", lambda parents: climbed(99)(parents).long()),
        ("device forgotten", lambda parents: torch.eye(len(parents)).bool() | climbed(99)(parents)),
        (None, lambda parents: climbed(99)(parents) | climbed(99)(parents).T),
        (None, lambda parents: climbed(99)(parents) | (parents[:, None] == parents)),
        (None, climbed(3)),
    ],
}
