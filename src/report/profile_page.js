// profile_page.js - Tables sort by a click on a heading and narrow by a word; a click on a name marks it in the graph.
"use strict";
(() => {
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  const isNumber = (value) => typeof value === "number";
  const compare = (a, b) => (isNumber(a) && isNumber(b) ? a - b : String(a).localeCompare(String(b)));

  for (const table of document.querySelectorAll("main table")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const isText = head.classList.contains("text");
        const isUp = head.ariaSort ? head.ariaSort === "descending" : isText;
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => (isUp ? 1 : -1) * compare(valueOf(a, column), valueOf(b, column)));
        table.tBodies[0].append(...rows);
      });
    });
  }

  const flame = document.getElementById("flame").sidewinder;
  const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  for (const cell of document.querySelectorAll("td.name[data-search]")) {
    cell.classList.add("link");
    cell.title = "Mark in the flame graph";
    cell.addEventListener("click", () => {
      flame.search(`^${escaped(cell.dataset.search)}( \\(|$)`);
      window.scrollTo({ top: 0, behavior: "smooth" });
    });
  }

  const heading = document.getElementById("functions");
  const filter = document.createElement("input");
  filter.type = "search";
  filter.placeholder = "Filter the table";
  filter.setAttribute("aria-label", "Filter the table of functions");
  heading.append(filter);
  const rows = [...document.querySelectorAll("#functions-table tbody tr")];
  filter.addEventListener("input", () => {
    const word = filter.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(word);
  });
})();
