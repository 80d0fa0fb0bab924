"use strict";
// Tables sort by a click on a header (again: the other way round; a third time: as they were). Figures tell the value
// under the pointer. Without script, nothing is missing but that.
(() => {
  const numeric = (text) => {
    const found = text.replaceAll("\u2212", "-").match(/^<?\s*([+-]?\d+(?:\.\d+)?)/);
    return found ? parseFloat(found[1]) : null;
  };

  const compare = (a, b) => {
    const [x, y] = [numeric(a), numeric(b)];
    return x !== null && y !== null ? x - y : a.localeCompare(b, undefined, { numeric: true });
  };

  const sortable = (table) => {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const sort = (column) => {
      const before = heads[column].getAttribute("aria-sort");
      const order = { null: "descending", descending: "ascending" }[before];
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      let rows = original;
      if (order) {
        heads[column].setAttribute("aria-sort", order);
        const text = (row) => row.cells[column].textContent.trim();
        const sign = order === "ascending" ? 1 : -1;
        // Empty cells stay at the end.
        rows = [...original].sort((a, b) => !text(a) - !text(b) || sign * compare(text(a), text(b)));
      }
      body.append(...rows);
    };
    heads.forEach((head, column) => {
      head.tabIndex = 0;
      head.title = "sort";
      head.addEventListener("click", () => sort(column));
      head.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          sort(column);
        }
      });
    });
  };

  const NEAR = 26; // pixels
  const tip = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
  const ring = Object.assign(document.createElement("div"), { className: "ring", hidden: true });

  const hover = (plot) => {
    const points = JSON.parse(plot.dataset.hover).flatMap((one) => one.points.map(([x, y, text]) => [x, y, text, one.name]));
    const hide = () => {
      tip.hidden = ring.hidden = true;
    };
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("pointermove", (event) => {
      const box = plot.querySelector("svg").getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      let best = null;
      let least = NEAR;
      for (const point of points) {
        const distance = Math.hypot(point[0] * box.width - x, point[1] * box.height - y);
        if (distance < least) [best, least] = [point, distance];
      }
      if (!best) return hide();
      plot.append(ring, tip);
      tip.textContent = `${best[3]}\n${best[2]}`;
      tip.hidden = ring.hidden = false;
      const [left, top] = [best[0] * box.width, best[1] * box.height];
      Object.assign(ring.style, { left: `${left}px`, top: `${top}px` });
      const across = Math.max(0, Math.min(left + 12, box.width - tip.offsetWidth));
      Object.assign(tip.style, { left: `${across}px`, top: `${top + 14}px` });
    });
  };

  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("[data-hover]").forEach(hover);
})();
