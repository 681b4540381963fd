// timeline.js - The page of a timeline: lanes on a canvas that zooms and pans, and tables of lanes and marks.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const canvas = byId("lanes");
  const tip = byId("tip");
  const LEFT = 210, LANE = 28, GAP = 8, AXIS = 30, LEAST_NS = 1000;
  const view = { start: 0, length: data.length };
  let hover = null;

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const make = (tag, text, kind) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (kind) node.className = kind;
    return node;
  };
  const percent = (share) => (share === null ? "-" : (100 * share).toFixed(1) + " %");
  const time = (ns) => {
    if (ns === 0) return "0";
    const [unit, name] = ns >= 1e9 ? [1e9, "s"] : ns >= 1e6 ? [1e6, "ms"] : ns >= 1e3 ? [1e3, "us"] : [1, "ns"];
    return (ns / unit).toLocaleString("en", { maximumSignificantDigits: 5 }) + " " + name;
  };

  // Index of the first span of a lane that ends after `ns`. A span is start, length, kind in a row.
  const firstAfter = (spans, ns) => {
    let low = 0, high = spans.length / 3;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (spans[3 * middle] + spans[3 * middle + 1] <= ns) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const width = () => Math.max(canvas.clientWidth - LEFT - 12, 10);
  const xOf = (ns) => LEFT + ((ns - view.start) / view.length) * width();
  const nsOf = (x) => view.start + ((x - LEFT) / width()) * view.length;

  const laneDraw = (pen, lane, y, colors) => {
    const columns = Math.ceil(width());
    const shares = colors.map(() => new Float64Array(columns));
    const end = view.start + view.length;
    const { spans } = lane;
    for (let i = 3 * firstAfter(spans, view.start); i < spans.length && spans[i] < end; i += 3) {
      const from = Math.max(xOf(spans[i]) - LEFT, 0);
      const to = Math.min(xOf(spans[i] + spans[i + 1]) - LEFT, columns);
      for (let x = Math.floor(from); x < to; x++)
        shares[spans[i + 2]][x] += Math.min(to, x + 1) - Math.max(from, x);
    }
    for (let x = 0; x < columns; x++) {
      let bottom = y + LANE;
      for (let kind = 0; kind < colors.length; kind++) {
        const height = Math.min(shares[kind][x], 1) * LANE;
        if (height < 0.2) continue;
        pen.fillStyle = colors[kind];
        pen.fillRect(LEFT + x, Math.max(bottom - height, y), 1, Math.min(height, bottom - y));
        bottom -= height;
      }
    }
  };

  const axisDraw = (pen, height) => {
    let step = 1;
    for (let i = 0; view.length / step > Math.max(width() / 110, 2); i++) step *= i % 3 === 1 ? 2.5 : 2;
    pen.fillStyle = style("--quiet");
    pen.textAlign = "center";
    for (let ns = Math.ceil(view.start / step) * step; ns <= view.start + view.length; ns += step) {
      const x = xOf(ns);
      pen.fillStyle = style("--faint");
      pen.fillRect(Math.round(x), 0, 1, height - AXIS + 4);
      pen.fillStyle = style("--quiet");
      pen.fillText(time(Math.round(ns)), x, height - 11);
    }
  };

  const clipText = (pen, text, room) => {
    if (pen.measureText(text).width <= room) return text;
    let low = 0, high = text.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (pen.measureText(text.slice(0, middle) + "\u2026").width <= room) low = middle;
      else high = middle - 1;
    }
    return text.slice(0, low) + "\u2026";
  };

  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    const height = GAP + data.lanes.length * (LANE + GAP) + AXIS;
    canvas.style.height = height + "px";
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    const colors = data.kinds.map((_, kind) => style("--kind" + kind));
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    pen.clearRect(0, 0, canvas.clientWidth, height);
    axisDraw(pen, height);
    data.lanes.forEach((lane, index) => {
      const y = GAP + index * (LANE + GAP);
      pen.fillStyle = style("--bed");
      pen.fillRect(LEFT, y, width(), LANE);
      laneDraw(pen, lane, y, colors);
      pen.textAlign = "left";
      pen.fillStyle = style("--ink");
      pen.fillText(clipText(pen, lane.name, LEFT - 22), 12, y + (lane.detail ? 12 : 18));
      pen.fillStyle = style("--quiet");
      pen.fillText(clipText(pen, lane.detail, LEFT - 22), 12, y + 26);
    });
    if (hover && hover.mark) {
      const y = GAP + hover.mark.lane * (LANE + GAP);
      pen.strokeStyle = style("--ink");
      pen.strokeRect(xOf(hover.mark.start), y - 2, xOf(hover.mark.end) - xOf(hover.mark.start), LANE + 4);
    }
    byId("range").textContent = time(Math.round(view.start)) + " to " + time(Math.round(view.start + view.length));
  };

  const show = (start, length) => {
    view.length = Math.min(Math.max(length, LEAST_NS), data.length);
    view.start = Math.min(Math.max(start, 0), data.length - view.length);
    tip.hidden = true;
    draw();
  };
  const zoom = (factor, at) => show(at - (at - view.start) * factor, view.length * factor);
  const middle = () => view.start + view.length / 2;

  canvas.addEventListener("wheel", (event) => {
    const x = event.offsetX;
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))
      show(view.start + ((event.deltaX || event.deltaY) / width()) * view.length, view.length);
    else zoom(Math.exp(event.deltaY * 0.002), nsOf(Math.max(x, LEFT)));
  }, { passive: false });

  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.offsetX, start: view.start };
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("drag");
  });
  canvas.addEventListener("pointerup", () => { drag = null; canvas.classList.remove("drag"); });
  canvas.addEventListener("dblclick", () => show(0, data.length));
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      show(drag.start - ((event.offsetX - drag.x) / width()) * view.length, view.length);
      return;
    }
    const lane = data.lanes[Math.floor((event.offsetY - GAP / 2) / (LANE + GAP))];
    tip.hidden = !lane || event.offsetX < LEFT;
    if (tip.hidden) return;
    const ns = nsOf(event.offsetX);
    const at = 3 * firstAfter(lane.spans, ns);
    const inside = at < lane.spans.length && lane.spans[at] <= ns;
    tip.textContent = lane.name + " at " + time(Math.round(ns)) + "\n" +
      (inside ? data.kinds[lane.spans[at + 2]] + " for " + time(lane.spans[at + 1]) : "neither");
    tip.style.left = Math.min(event.clientX + 14, window.innerWidth - 300) + "px";
    tip.style.top = event.clientY + 16 + "px";
  });
  canvas.addEventListener("keydown", (event) => {
    const actions = {
      "+": () => zoom(0.5, middle()), "=": () => zoom(0.5, middle()), "-": () => zoom(2, middle()),
      0: () => show(0, data.length),
      ArrowLeft: () => show(view.start - view.length / 5, view.length),
      ArrowRight: () => show(view.start + view.length / 5, view.length),
    };
    if (!actions[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    actions[event.key]();
  });
  byId("in").addEventListener("click", () => zoom(0.5, middle()));
  byId("out").addEventListener("click", () => zoom(2, middle()));
  byId("all").addEventListener("click", () => show(0, data.length));
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    draw();
  });

  const legendMake = () => {
    data.kinds.forEach((name, kind) => {
      const item = make("span", undefined, "legend");
      const color = make("i");
      color.style.background = `var(--kind${kind})`;
      item.append(color, name);
      byId("legend").append(item);
    });
  };

  const lanesTable = () => {
    const head = make("tr");
    head.append(make("th", "Thread"), make("th", "Share of the time"));
    data.kinds.forEach((name) => head.append(make("th", name, "number")));
    byId("threads").append(head);
    for (const lane of data.lanes) {
      const row = make("tr");
      const bar = make("td", undefined, "bar");
      const beam = make("span");
      lane.share.forEach((share, kind) => {
        const part = make("i");
        part.style.cssText = `width:${100 * (share || 0)}%;background:var(--kind${kind})`;
        beam.append(part);
      });
      bar.append(beam);
      const name = make("td", lane.name);
      if (lane.detail) name.append(make("div", lane.detail, "quiet"));
      row.append(name, bar, ...lane.share.map((share) => make("td", percent(share), "number")));
      byId("threads").append(row);
    }
  };

  const marksTable = () => {
    byId("marks-title").textContent = data.marksTitle;
    byId("marks-title").hidden = data.marks.length === 0;
    data.marks.forEach((mark, index) => {
      const row = make("tr");
      const button = make("button", "Show");
      button.setAttribute("aria-label", "Show " + mark.text);
      button.addEventListener("click", () => {
        hover = { mark };
        show(mark.start - (mark.end - mark.start), 3 * (mark.end - mark.start));
        canvas.scrollIntoView({ block: "nearest" });
        canvas.focus();
      });
      const cell = make("td");
      cell.append(button);
      row.append(make("td", String(index + 1), "number"), make("td", mark.text), cell);
      byId("marks").append(row);
    });
  };

  legendMake();
  lanesTable();
  marksTable();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas.parentElement);
  draw();
})();
