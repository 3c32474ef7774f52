// The mask lens: a grid to click in, and three panels that follow one of its rows. Joined behind widget.js and grid.js.
//
// Numbers and words come from Python, for every row at once, so that a change of row needs no answer from the kernel. What
// changes is changed in place: elements are made once.

const MOVES = ["change", "pointerup", "keyup"]; // what a control fires when somebody has moved it
const [LETTER, NARROWEST] = [7, 180]; // pixels: a letter of a number on a bar, and the room for all bars

function render({ model, el }) {
  const state = () => model.get("state");
  const size = state().keys.length;
  const card = make("section", "workbook-card workbook-lens");
  card.setAttribute("aria-label", "Mask lens");
  card.dataset.size = size <= 6 ? "small" : size <= 8 ? "middle" : "large";

  const title = make("p", "workbook-lens-title");
  const broken = make("p", "workbook-lens-broken");
  const panels = make("div", "workbook-lens-panels");
  const cell = make("p", "workbook-lens-cell");
  const sentence = make("p", "workbook-lens-sentence");
  sentence.setAttribute("aria-live", "polite");
  const problem = make("p", "workbook-lens-problem");
  problem.setAttribute("role", "status");
  const functions = make("p", "workbook-lens-functions");
  const printed = make("pre", "workbook-lens-functions");

  const mask = panel(1, "mask");
  const scores = panel(2, "scores", "forbidden ones fall to −∞");
  const weights = panel(3, "weights", "softmax of what is left");
  const output = panel(4, "output", "who can move it");
  const scoreBars = bars(size, "scores");
  const weightBars = bars(size, "weights");
  const flow = arrows(size);
  const shape = make("span", "workbook-lens-badge");
  const sum = make("span", "workbook-lens-badge");
  const movedBy = make("span", "workbook-lens-foot");

  let visited = null;
  const grid = createGrid({
    rows: state().queries,
    columns: state().keys,
    label: "Mask: who may attend to whom. Enter or the space bar changes a cell.",
    axes: ["query", "key"],
    describe,
    onToggle: (row, column) => {
      const may = !state().allowed[row][column];
      ask({ kind: "click", row, column, may });
    },
    onVisit: (row, column, how) => {
      visited = [row, column];
      if (how === "focus") choose(row);
      tell();
    },
    onChooseRow: choose,
  });
  const room = make("div", "workbook-lens-room");
  room.append(grid.element);
  mask.body.append(room);
  mask.foot.append(shape);
  scores.body.append(scoreBars.element);
  weights.body.append(weightBars.element);
  weights.foot.append(sum);
  output.body.append(flow.element);
  output.foot.append(movedBy);
  panels.append(mask.element, scores.element, weights.element, output.element);
  card.append(title, broken, panels, cell, sentence, problem, functions, printed);
  el.append(card);

  function describe(row, column, may) {
    const { queries, keys, rows, clicked } = state();
    const words = [
      `query ${queries[row]} (${row}), key ${keys[column]} (${column}): ${may ? "may attend" : "may not attend"}`,
      `score ${rows[row].score_words[column]}`,
      `weight ${rows[row].weight_words[column]}`,
    ];
    return words.join(", ") + (clicked[row][column] ? ", changed by you" : "");
  }

  /** Say what is in the cell that the pointer or the focus came to last, and mark its key in every panel. */
  function tell() {
    if (!visited) return;
    const [row, column] = visited;
    say(cell, sentenceCase(describe(row, column, state().allowed[row][column])));
    for (const marked of panels.querySelectorAll("[data-key]")) {
      marked.classList.toggle("workbook-lens-visited", Number(marked.dataset.key) === column);
    }
  }

  function choose(row) {
    if (row === model.get("row")) return;
    model.set("row", row);
    model.save_changes();
  }

  let waiting = null;
  function ask(message) {
    model.send(message);
    clearTimeout(waiting);
    waiting = setTimeout(() => say(problem, NO_ANSWER), PATIENCE);
  }
  function heard() {
    clearTimeout(waiting);
    say(problem, state().problem);
  }

  function draw() {
    const now = state();
    const index = model.get("row");
    const row = now.rows[index];
    grid.update({
      cells: now.allowed,
      marks: now.clicked.map((line) => line.map((clicked) => (clicked ? "clicked" : ""))),
      row: index,
      names: [now.queries, now.keys],
    });
    say(title, now.title);
    say(broken, now.broken.length ? `Broken on purpose: ${now.broken.join("; ")}.` : "");
    say(mask.note, `row “${now.queries[index]}” asks`);
    say(shape, now.shape);
    scoreBars.update(now.keys, now.allowed[index], row.scores, row.score_words);
    weightBars.update(now.keys, now.allowed[index], row.weights, row.weight_words);
    say(sum, row.sum);
    sum.classList.toggle("workbook-lens-nan", row.broken);
    flow.update(now, index);
    say(movedBy, row.moved_by);
    say(sentence, row.sentence);
    say(functions, now.functions);
    say(printed, now.printed && `Printed: ${now.printed}`);
    tell();
  }
  const changed = () => {
    draw();
    heard();
  };

  model.on("change:state", changed);
  model.on("change:row", draw);
  model.on("msg:custom", heard);
  changed();
  ask({ kind: "hello" });
  const leaveBox = lookAfterBox(el, () => ask({ kind: "hello" }));
  return () => {
    clearTimeout(waiting);
    leaveBox();
    model.off("change:state", changed);
    model.off("change:row", draw);
    model.off("msg:custom", heard);
  };
}

// The box around the lens holds ipywidgets' controls. Their sliders' handles have no name for a screen reader: they get their
// label's. What is typed on a control or a cell stays here. And a control that is `moved` wants an answer, as a cell does.
function lookAfterBox(el, moved) {
  const answer = (event) => el.contains(event.target) || moved();
  const name = (box) => {
    for (const handle of box.querySelectorAll(".noUi-handle:not([aria-label])")) {
      const label = handle.closest(".widget-slider")?.querySelector(".widget-label");
      if (label) handle.setAttribute("aria-label", label.textContent);
    }
  };
  let box = null;
  const observer = new MutationObserver(() => name(box));
  const begin = () => {
    box = el.closest(".widget-vbox"); // a view is made before it is put into its box
    if (!box) return (frame = requestAnimationFrame(begin));
    name(box);
    observer.observe(box, { childList: true, subtree: true });
    box.addEventListener("keydown", keepKey);
    for (const kind of MOVES) box.addEventListener(kind, answer);
  };
  let frame = requestAnimationFrame(begin);
  return () => {
    cancelAnimationFrame(frame);
    observer.disconnect();
    box?.removeEventListener("keydown", keepKey);
    for (const kind of MOVES) box?.removeEventListener(kind, answer);
  };
}

function panel(number, word, note = "") {
  const element = make("div", "workbook-lens-panel");
  const head = make("p", "workbook-lens-head");
  const disc = make("span", "workbook-lens-disc", String(number));
  disc.setAttribute("aria-hidden", "true");
  head.append(disc, make("b", "", word));
  const [below, body, foot] = [make("p", "workbook-lens-note", note), make("div", "workbook-lens-body"), make("p", "workbook-lens-below")];
  element.append(head, below, body, foot);
  return { element, note: below, body, foot };
}

// One bar for each key. A forbidden score is hollow and falls to −∞; a weight that is no number says so.
function bars(size, kind) {
  const element = make("ol", `workbook-lens-bars workbook-lens-${kind}`);
  const each = Array.from({ length: size }, (_, key) => {
    const line = make("li");
    line.dataset.key = key;
    const plot = make("div", "workbook-lens-plot");
    const bar = make("div", "workbook-lens-bar");
    const number = make("span", "workbook-lens-number");
    const fall = make("span", "workbook-lens-fall");
    const name = make("span", "workbook-lens-name");
    const end = make("span", "workbook-lens-end");
    plot.append(bar, fall, number);
    line.append(plot, name, end);
    element.append(line);
    return { line, bar, number, name, end };
  });
  return {
    element,
    update(keys, allowed, numbers, words) {
      const longest = Math.max(...words.map((word) => word.length));
      element.classList.toggle("workbook-lens-upright", size > 6 || longest * LETTER * size > NARROWEST);
      const finite = numbers.filter((number) => number !== null);
      const high = Math.max(0, ...finite);
      const low = Math.min(0, ...finite);
      const reach = high - low || 1;
      each.forEach(({ line, bar, number, name, end }, key) => {
        const value = numbers[key] ?? (kind === "scores" && words[key].startsWith("−") ? low : 0);
        const top = (100 * (high - Math.max(value, 0))) / reach;
        const height = (100 * Math.abs(value)) / reach;
        line.style.setProperty("--top", `${high === low ? 100 : top}%`);
        line.style.setProperty("--height", `${height}%`);
        line.dataset.may = allowed[key];
        line.classList.toggle("workbook-lens-nothing", words[key] === "NaN");
        line.classList.toggle("workbook-lens-zero", value === 0);
        say(number, words[key]);
        named(name, keys[key]);
        say(end, kind === "scores" && !allowed[key] ? "−∞" : "");
      });
    },
  };
}

// The tokens with their values, arrows as thick as their weights, and the output.
function arrows(size) {
  const element = make("div", "workbook-lens-flow");
  const step = size <= 5 ? 46 : size <= 8 ? 32 : 20;
  const middle = (size * step) / 2;
  const list = make("ol", "workbook-lens-chips");
  list.style.setProperty("--step", `${step}px`);
  const svg = svgElement("svg", { viewBox: `0 0 100 ${size * step}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  svg.style.height = `${size * step}px`;
  const box = make("div", "workbook-lens-output");
  const each = Array.from({ length: size }, (_, key) => {
    const line = make("li");
    line.dataset.key = key;
    const [name, value, cross] = [make("span", "workbook-lens-name"), make("span", "workbook-lens-value"), make("span", "workbook-lens-cross", "✕")];
    cross.setAttribute("aria-hidden", "true");
    line.append(name, value, cross);
    list.append(line);
    const y = (key + 0.5) * step;
    const path = svgElement("path", { d: `M 0 ${y} C 55 ${y}, 45 ${middle}, 100 ${middle}`, "vector-effect": "non-scaling-stroke" });
    svg.append(path);
    return { line, name, value, path };
  });
  element.append(list, svg, box);
  return {
    element,
    update({ keys, values, allowed, rows }, index) {
      const row = rows[index];
      each.forEach(({ line, name, value, path }, key) => {
        const may = allowed[index][key];
        line.dataset.may = may;
        named(name, keys[key]);
        say(value, values[key]);
        path.style.strokeWidth = may && row.weights[key] ? `${1.2 + 13 * row.weights[key]}px` : "0";
      });
      box.replaceChildren(...row.output.map((word) => make("b", "", word)));
      box.classList.toggle("workbook-lens-nan", row.output.includes("NaN"));
    },
  };
}


function svgElement(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}

/** Write a text only where it differs: a screen reader reads what is written into a live region. */
function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function named(element, name) {
  say(element, name);
  element.classList.toggle("workbook-grid-padding", name === "<pad>");
}

function sentenceCase(words) {
  return words[0].toUpperCase() + words.slice(1);
}

export default { render };
