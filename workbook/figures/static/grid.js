// A grid of cells that can be clicked or walked through with the arrow keys. The lens and predictions are built on it.
//
// It is a table of real buttons: headings and states are read out by screen readers, and cells are changed in place, so that
// the keyboard focus stays where it is. `aria-pressed` is what a cell says, and all that its look depends on.

/**
 * @param {Object} options
 * @param {string[]} options.rows       names down the side
 * @param {string[]} options.columns    names across the top
 * @param {string} options.label        what the grid is, for those who hear it
 * @param {string[]} [options.axes]     what goes down and what goes across, written in the corner
 * @param {(row: number, column: number, on: boolean) => string} options.describe  a cell in words
 * @param {(row: number, column: number) => void} [options.onToggle]  a cell was clicked, or Enter or the space bar pressed
 * @param {(row: number, column: number, how: "pointer" | "focus") => void} [options.onVisit]  one of them has come to a cell
 * @param {(row: number) => void} [options.onChooseRow]  the name of a row was clicked (with keys, a row is reached by its cells)
 */
function createGrid({ rows, columns, label, axes, describe, onToggle, onVisit, onChooseRow }) {
  const table = document.createElement("table");
  table.className = "workbook-grid";
  table.setAttribute("aria-label", label);
  const head = table.createTHead().insertRow();
  const corner = document.createElement(axes ? "th" : "td");
  if (axes) {
    corner.className = "workbook-grid-corner";
    corner.textContent = `${axes[0]} ↓ ${axes[1]} →`;
  }
  head.append(corner);
  const columnNames = columns.map(() => heading("col"));
  const rowNames = rows.map(() => heading("row"));
  head.append(...columnNames);
  const body = table.createTBody();
  const buttons = rows.map((_, row) => {
    const line = body.insertRow();
    line.append(rowNames[row]);
    return columns.map((_, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = row === 0 && column === 0 ? 0 : -1; // one stop for the tab key; arrows move from there
      button.dataset.row = row;
      button.dataset.column = column;
      line.insertCell().append(button);
      return button;
    });
  });

  rename(rows, columns);

  function rename(rows, columns) {
    rowNames.forEach((cell, row) => write(cell, rows[row]));
    columnNames.forEach((cell, column) => write(cell, columns[column]));
  }

  const place = (event) => {
    const button = event.target.closest("button[data-row]");
    return button && [Number(button.dataset.row), Number(button.dataset.column)];
  };

  function focus(row, column) {
    body.querySelectorAll('button[tabindex="0"]').forEach((button) => (button.tabIndex = -1));
    buttons[row][column].tabIndex = 0;
    buttons[row][column].focus();
  }

  table.addEventListener("click", (event) => {
    const at = place(event);
    if (!at) return;
    focus(...at);
    if (onToggle && buttons[at[0]][at[1]].getAttribute("aria-disabled") !== "true") onToggle(...at);
  });
  table.addEventListener("keydown", (event) => {
    const at = place(event);
    if (!at || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.shiftKey && event.key === "Enter") return; // which runs the notebook's cell
    const [row, column] = at;
    const steps = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [row, 0],
      End: [row, columns.length - 1],
    };
    const to = steps[event.key];
    // JupyterLab has plans of its own for most keys; those of a cell that has the focus are the grid's.
    if (to || event.key === "Enter" || event.key === " ") event.stopPropagation();
    if (!to) return;
    event.preventDefault();
    if (buttons[to[0]]?.[to[1]]) focus(...to);
  });
  if (onVisit) {
    let before = ""; // a pointer that rests is over a cell anew whenever the page below it changes: that is no visit
    table.addEventListener("pointerover", (event) => {
      const [at, now] = [place(event), `${event.screenX} ${event.screenY}`];
      if (at && now !== before) onVisit(...at, "pointer");
      before = now;
    });
    table.addEventListener("focusin", (event) => {
      const at = place(event);
      if (at) onVisit(...at, "focus");
    });
  }
  if (onChooseRow) {
    rowNames.forEach((cell, row) => {
      cell.classList.add("workbook-grid-choosable");
      cell.addEventListener("click", () => onChooseRow(row));
    });
  }

  return {
    element: table,
    /**
     * Show a state. `cells[row][column]` says whether a cell is on; `marks[row][column]`, where given, is "right", "leaking",
     * "missing", "clicked" or ""; `row` is the row to stand out; a grid that is not `editable` can still be walked through.
     * `names` are new names, [rows, columns].
     */
    update({ cells, marks = null, row: chosen = null, editable = true, names = null }) {
      if (names) rename(...names);
      buttons.forEach((line, row) => {
        body.rows[row].classList.toggle("workbook-grid-chosen", row === chosen);
        line.forEach((button, column) => {
          const on = Boolean(cells[row][column]);
          const mark = marks ? marks[row][column] : "";
          button.setAttribute("aria-pressed", on);
          button.setAttribute("aria-label", describe(row, column, on));
          button.setAttribute("aria-disabled", !editable);
          button.dataset.mark = mark;
          button.textContent = { leaking: "!", missing: "?" }[mark] ?? (on ? "■" : "⬚");
          if (chosen !== null && !table.contains(document.activeElement)) button.tabIndex = row === chosen && !column ? 0 : -1;
        });
      });
    },
  };
}

function heading(scope) {
  const cell = document.createElement("th");
  cell.scope = scope;
  return cell;
}

function write(cell, name) {
  cell.textContent = name;
  cell.classList.toggle("workbook-grid-padding", name === "<pad>");
}
