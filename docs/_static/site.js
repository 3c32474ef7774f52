// What scrolls sideways can be scrolled with the keyboard, as wide as the window happens to be.
addEventListener("load", () => {
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const block of document.querySelectorAll("article pre, article .table-wrapper, article .output")) {
    sizes.observe(block);
  }
});

// Opened as a file, a page may not read others, so search shows titles without a line of text below them.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
