// A question, answered by a click before the experiment is run. Joined behind widget.js, and grid.js where
// the answer is a grid of cells.
//
// What is answered lives in the model (`given`, `committed`), and so does what the run said: a view only shows it. The
// sentence under the question is the kernel's, so that "Committed" is said by who has it.

const LETTERS = "abcdefgh";

function render({ model, el }) {
  const root = make("div", "workbook-prediction");
  const box = make("fieldset");
  const legend = make("legend");
  legend.append(make("b", "", "Predict."), " ", ...spans(model.get("asked").question));
  box.append(legend);
  const status = make("p", "workbook-prediction-status");
  status.setAttribute("role", "status");
  root.append(box, status);
  el.append(root);
  root.addEventListener("keydown", keepKey);

  let waiting = null;
  const heard = () => {
    clearTimeout(waiting);
    if (status.textContent !== model.get("status")) status.replaceChildren(...spans(model.get("status")));
  };
  const answer = (given, committed) => {
    model.set({ given, committed });
    model.save_changes();
    model.send({ answered: true });
    clearTimeout(waiting);
    waiting = setTimeout(() => (status.textContent = NO_ANSWER), PATIENCE);
  };

  const update = (model.get("asked").choices ? choices : cells)(model, box, answer);
  const show = () => {
    root.dataset.outcome = model.get("outcome");
    update();
    heard();
  };
  model.on("change", show);
  model.on("msg:custom", heard);
  show();
  model.send({ seen: true });
  return () => {
    clearTimeout(waiting);
    model.off("change", show);
    model.off("msg:custom", heard);
  };
}

// One of several answers: choosing it commits it.
function choices(model, box, answer) {
  const { choices } = model.get("asked");
  const list = make("div", "workbook-prediction-choices");
  list.classList.toggle("workbook-prediction-long", choices.some((choice) => choice.length > 24));
  const name = `workbook-prediction-${Math.random()}`; // of this view only: nothing of it is stored
  const choose = (place) => answer(place, true);
  const lines = choices.map((choice, place) => {
    const label = make("label");
    const radio = make("input");
    Object.assign(radio, { type: "radio", name });
    radio.addEventListener("change", () => choose(place));
    const [text, note] = [make("span"), make("span", "workbook-prediction-note")];
    text.append(...spans(choice), " ", note);
    label.append(radio, make("b", "", `${LETTERS[place]})`), text);
    list.append(label);
    return { label, radio, note };
  });
  box.append(list);

  list.addEventListener("keydown", (event) => {
    const line = lines[LETTERS.indexOf(event.key.toLowerCase())];
    if (!line || box.disabled || event.altKey || event.ctrlKey || event.metaKey) return;
    line.radio.focus();
    line.radio.click();
  });

  return () => {
    const [given, run] = [model.get("committed") ? model.get("given") : null, model.get("run")];
    box.disabled = run !== null;
    lines.forEach(({ label, radio, note }, place) => {
      radio.checked = place === given;
      label.dataset.run = place === run;
      const said = place === given ? (place === run ? "as you said" : "you said") : "";
      note.textContent = run === null ? "" : [place === run ? "← the run" : said && "←", said].filter(Boolean).join(" ");
    });
  };
}

// A whole grid: cells are turned on and off, and a button commits it.
function cells(model, box, answer) {
  const { rows, columns, means, question } = model.get("asked");
  const says = (on) => means[on ? 0 : 1];
  const given = () => model.get("given") ?? rows.map(() => columns.map(() => false));
  const shown = () => (model.get("run") !== null && !model.get("committed") ? model.get("run") : given());
  const describe = (row, column, on) => {
    const [run, place] = [model.get("run"), `${rows[row]}, ${columns[column]}: `];
    if (run === null) return place + says(on);
    if (!model.get("committed")) return `${place}the run says ${says(on)}`;
    const right = run[row][column] === on;
    return `${place}you said ${says(on)}, ${right ? "and so does the run" : `the run says ${says(!on)}`}`;
  };
  const grid = createGrid({
    rows,
    columns,
    label: question.replaceAll("`", ""),
    describe,
    onToggle: (row, column) => {
      const next = given().map((line) => [...line]);
      next[row][column] = !next[row][column];
      answer(next, model.get("committed"));
    },
  });
  const card = make("div", "workbook-card");
  const room = make("div", "workbook-prediction-grid");
  const key = make("p", "workbook-prediction-key");
  room.append(grid.element);
  card.append(room, key);
  const commit = make("button", "workbook-prediction-commit");
  commit.type = "button";
  commit.addEventListener("click", () => answer(given(), true));
  box.append(card, commit);

  return () => {
    const [run, marks] = [model.get("run"), model.get("marks")];
    grid.update({ cells: shown(), marks, editable: run === null });
    const kinds = [["■", says(true)], ["⬚", says(false)]];
    const differs = (mark) => marks?.some((line) => line.includes(mark));
    if (differs("leaking")) kinds.push(["!", `you said ${says(true)}, the run says ${says(false)}`]);
    if (differs("missing")) kinds.push(["?", `you said ${says(false)}, the run says ${says(true)}`]);
    key.replaceChildren(
      ...kinds.map(([glyph, words]) => {
        const kind = make("span");
        kind.append(make("b", "", glyph), ` ${words}`);
        return kind;
      }),
    );
    commit.hidden = run !== null;
    commit.textContent = model.get("committed") ? "✓ That is my prediction" : "That is my prediction";
    commit.setAttribute("aria-disabled", model.get("committed")); // not `disabled`, which would lose the focus
  };
}

/** Text in which what stands between back-ticks is code, as nodes. */
function spans(text) {
  return text.split("`").map((part, place) => (place % 2 ? make("code", "", part) : document.createTextNode(part)));
}

export default { render };
