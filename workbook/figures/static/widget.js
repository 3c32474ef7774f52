// What the course's widgets share. Joined in front of each of them.

const PATIENCE = 2000; // milliseconds, after which a kernel that has not answered is remarked upon
const NO_ANSWER = "No answer from the kernel yet: if it is not busy, run this cell again.";

// JupyterLab has a command for nearly every key: "x" would cut the cell, and "b" make a new one. Shift+Enter stays its own.
function keepKey(event) {
  const passes = event.altKey || event.ctrlKey || event.metaKey || ["Tab", "Escape"].includes(event.key);
  if (!passes && !(event.shiftKey && event.key === "Enter")) event.stopPropagation();
}

function make(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}
