// profile_flame.js - Draws a flame graph from its data, zooms, searches. Runs in an SVG document and within HTML.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const XHTML = "http://www.w3.org/1999/xhtml";
  const MARGIN = 12;
  const ROW = 18;
  const NARROWEST = 0.6; // pixels; what is narrower is counted, not drawn
  const CLICK_SLOP = 4;

  const flame = document.getElementById("flame");
  const plot = document.getElementById("plot");
  const foot = document.getElementById("foot");
  const legend = document.getElementById("legend");
  const data = JSON.parse(document.getElementById("flame-data").textContent);
  const isDiff = data.sides === 2;
  const plotTop = Number(plot.getAttribute("y"));
  const restHeight = Number(flame.getAttribute("height")) - Number(plot.getAttribute("height"));

  const make = (name, attributes = {}, text = "") => {
    const element = document.createElementNS(SVG, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text) element.textContent = text;
    return element;
  };
  const html = (name, attributes = {}, text = "") => {
    const element = document.createElementNS(XHTML, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text) element.textContent = text;
    return element;
  };

  // The tree as columns; node 0 is the root, callees follow their caller, `end` is behind the last of them.
  const stride = isDiff ? 10 : 5;
  const count = data.nodes.length / stride + 1;
  const column = () => new Float64Array(count);
  const depths = new Int32Array(count), frames = new Int32Array(count), parents = new Int32Array(count);
  const ends = new Int32Array(count).fill(count);
  const side = () => ({ total: column(), self: column(), samples: column(), start: column() });
  const sides = Array.from({ length: data.sides }, side);
  const colors = new Array(count).fill("");
  const isChance = new Uint8Array(count);
  let deepest = 0; // of what is drawn
  const load = () => {
    const path = [0];
    const filled = sides.map(() => new Float64Array(count));
    frames[0] = -1;
    sides.forEach((side, s) => [side.total[0], side.self[0], side.samples[0]] = data.all.slice(3 * s, 3 * s + 3));
    for (let i = 1, at = 0; i < count; i++, at += stride) {
      const depth = depths[i] = data.nodes[at];
      while (path.length > depth) ends[path.pop()] = i;
      const parent = parents[i] = path[path.length - 1];
      path.push(i);
      frames[i] = data.nodes[at + 1];
      sides.forEach((side, s) => {
        side.total[i] = data.nodes[at + 2 + 3 * s];
        side.self[i] = data.nodes[at + 3 + 3 * s];
        side.samples[i] = data.nodes[at + 4 + 3 * s];
        side.start[i] = side.start[parent] + filled[s][parent];
        filled[s][parent] += side.total[i];
      });
      isChance[i] = isDiff ? data.nodes[at + 9] : 0;
      colors[i] = isDiff ? data.nodes[at + 8] : data.frames[frames[i]][3];
    }
  };
  load();

  const nameOf = (i) => (i ? data.frames[frames[i]][0] : "all");
  const lineOf = (i) => (i ? data.frames[frames[i]][2] : 0);
  const labelOf = (i) => (lineOf(i) ? `${nameOf(i)}:${lineOf(i)}` : nameOf(i));
  const placeOf = ([, file, line]) => file + (line ? `:${line}` : "");
  const whereOf = (i) => (i ? placeOf(data.frames[frames[i]]) : "");
  const searchText = data.frames.map((frame) => (frame[1] ? `${frame[0]} (${placeOf(frame)})` : frame[0]));

  let zoomed = 0;
  let chosen = -1;
  let shown = 0; // the side whose weights are widths
  let isFlame = false; // the root at the bottom
  let found = null; // by frame: whether it matches
  let letter = 7.3;
  let isDrawn = new Set();

  const percent = (value, all) => (all > 0 ? `${((100 * value) / all).toFixed(2)} %` : "-");
  const duration = (ns) => {
    for (const [unit, text] of [[1e9, "s"], [1e6, "ms"], [1e3, "\u00b5s"]])
      if (ns >= unit) return `${(ns / unit).toFixed(ns / unit < 10 ? 2 : ns / unit < 100 ? 1 : 0)} ${text}`;
    return `${ns} ns`;
  };
  const amount = (value) => (data.unit === "ns" ? duration(value) : `${value.toLocaleString("en")} samples`);
  const shareOf = (i, s) => (sides[s].total[0] > 0 ? sides[s].total[i] / sides[s].total[0] : 0);

  const labelFit = (text, width) => {
    const room = Math.floor((width - 7) / letter);
    if (room < 2) return "";
    return text.length <= room ? text : `${text.slice(0, room - 1)}\u2026`;
  };

  const widthNow = () => Math.max(200, (flame.clientWidth || flame.getBoundingClientRect().width || 1200) - 2 * MARGIN);

  const frameAt = (i, left, width, isAbove) => {
    const y = (isFlame ? deepest - depths[i] : depths[i]) * ROW;
    const group = make("g", { class: "frame" });
    group.classList.toggle("above", isAbove);
    group.classList.toggle("found", !!(found && i && found[frames[i]]));
    group.classList.toggle("chosen", i === chosen);
    group.dataset.node = i;
    const text = labelOf(i);
    const box = { x: left.toFixed(1), y, width: Math.max(0.4, width - 0.8).toFixed(1), height: ROW - 1, rx: 2 };
    group.append(make("rect", { ...box, fill: colors[i] || "#b4b8c0" }));
    const shownText = labelFit(text, width);
    if (shownText) group.append(make("text", { x: (left + 4).toFixed(1), y: y + 12.5 }, shownText));
    return group;
  };

  const draw = () => {
    const width = widthNow();
    const side = sides[shown];
    const all = side.total[zoomed];
    const scale = all > 0 ? width / all : 0;
    const parts = document.createDocumentFragment();
    let hidden = 0;
    isDrawn = new Set();
    for (let i = zoomed; i < ends[zoomed]; ) {
      const isWide = side.total[i] * scale >= NARROWEST || i === zoomed;
      if (isWide) isDrawn.add(i);
      else hidden += side.total[i] > 0 ? ends[i] - i : 0;
      i = isWide ? i + 1 : ends[i];
    }
    deepest = 0;
    for (const i of isDrawn) deepest = Math.max(deepest, depths[i]);
    for (const i of isDrawn) {
      const left = (side.start[i] - side.start[zoomed]) * scale;
      parts.append(frameAt(i, left, side.total[i] * scale || width, false));
    }
    for (let i = zoomed; i > 0; isDrawn.add(i)) {
      i = parents[i];
      parts.append(frameAt(i, 0, width, true));
    }
    plot.replaceChildren(parts);
    plot.setAttribute("height", (deepest + 1) * ROW);
    const tall = restHeight + (deepest + 1) * ROW;
    flame.setAttribute("height", document.documentElement === flame ? Math.max(tall, window.innerHeight) : tall);
    foot.setAttribute("y", tall - 12);
    plot.setAttribute("width", width);
    const words = [];
    if (hidden) words.push(`${hidden.toLocaleString("en")} frames too narrow to draw; click to zoom in`);
    if (data.dropped) words.push(`${data.dropped.toLocaleString("en")} frames below 0.001 % left out`);
    if (count === 1) words.push("no samples");
    foot.textContent = words.join(" \u00b7 ");
    buttons.reset.disabled = zoomed === 0 && !found;
  };

  // A match within a match is counted once.
  const matchedShare = () => {
    let sum = 0;
    for (let i = 1; i < count; ) {
      if (found[frames[i]]) {
        sum += sides[shown].total[i];
        i = ends[i];
      } else i++;
    }
    return sides[shown].total[0] > 0 ? sum / sides[shown].total[0] : 0;
  };

  const search = (text) => {
    let pattern = null;
    field.classList.remove("wrong");
    try {
      pattern = text ? new RegExp(text, /[A-Z]/.test(text) ? "" : "i") : null;
    } catch {
      field.classList.add("wrong");
      matched.textContent = "not a regular expression";
      return;
    }
    found = pattern ? searchText.map((one) => pattern.test(one)) : null;
    flame.classList.toggle("searching", !!found);
    matched.textContent = found ? `${(100 * matchedShare()).toFixed(2)} % matched` : "";
    draw();
  };

  const zoom = (i) => {
    zoomed = i;
    draw();
  };
  const reset = () => {
    zoomed = 0;
    chosen = -1;
    field.value = "";
    search("");
  };
  const flip = () => {
    isFlame = !isFlame;
    buttons.flip.textContent = isFlame ? "Icicle" : "Flame";
    draw();
  };
  const swap = () => {
    shown = 1 - shown;
    zoomed = sides[shown].total[zoomed] > 0 ? zoomed : 0;
    buttons.side.textContent = shown ? "Widths: before" : "Widths: after";
    search(field.value);
  };

  // The row of tools stands in the SVG, where the picture without scripts leaves room.
  const tools = html("div", { class: "tools" });
  const field = html("input", { type: "search", placeholder: "Search (regular expression)" });
  field.setAttribute("aria-label", "Search frames");
  const button = (text, act, title) => {
    const one = html("button", { type: "button", title }, text);
    one.addEventListener("click", act);
    return one;
  };
  const buttons = {
    reset: button("Reset", reset, "Whole picture, no search (Esc)"),
    flip: button("Flame", flip, "Turn upside down (i)"),
    side: button("Widths: after", swap, "Widths of the recording before or after (b)"),
  };
  const matched = html("span", { class: "matched", "aria-live": "polite" });
  tools.append(field, buttons.reset, buttons.flip);
  if (isDiff) tools.append(buttons.side);
  tools.append(matched);
  const toolsBox = make("foreignObject", { x: MARGIN, y: plotTop - 32, width: 900, height: 28 });
  toolsBox.append(tools);

  const tipBox = make("foreignObject", { x: 0, y: 0, width: 1, height: 1, style: "pointer-events: none" });
  const tip = html("div", { class: "tip", style: "visibility: hidden" });
  tipBox.append(tip);

  const tipRow = (name, values) => {
    const row = html("tr");
    row.append(html("td", {}, name), ...values.map((value) => html("td", {}, value)));
    return row;
  };
  const tipFill = (i) => {
    const table = html("table");
    sides.forEach((side, s) => {
      const name = isDiff ? (s ? "before" : "after") : "total";
      const samples = data.unit === "ns" ? [`${side.samples[i].toLocaleString("en")} samples`] : [];
      table.append(tipRow(name, [percent(side.total[i], side.total[0]), amount(side.total[i]), ...samples]));
      const own = [percent(side.self[i], side.total[0]), amount(side.self[i])];
      table.append(isDiff ? tipRow("", [...own, "self"]) : tipRow("self", own));
    });
    if (isDiff) {
      const change = 100 * (shareOf(i, 0) - shareOf(i, 1));
      const doubt = isChance[i] ? ", may be chance" : "";
      table.append(tipRow("change", [`${change > 0 ? "+" : ""}${change.toFixed(2)} points${doubt}`]));
    }
    tip.replaceChildren(html("b", {}, nameOf(i)), html("div", { class: "where" }, whereOf(i)), table);
  };
  const tipShow = (i, x, y) => {
    tipFill(i);
    const own = flame.getBoundingClientRect();
    const { width, height: tall } = tip.getBoundingClientRect();
    const left = Math.max(own.left + 4, Math.min(x + 14, own.right - width - 6));
    const bottom = Math.min(window.innerHeight, own.bottom);
    const top = y + 18 + tall > bottom ? Math.max(own.top, y - tall - 12) : y + 18;
    tipBox.setAttribute("x", left - own.left);
    tipBox.setAttribute("y", top - own.top);
    tip.style.visibility = "visible";
  };
  const tipHide = () => {
    tip.style.visibility = "hidden";
  };

  const nodeOf = (event) => {
    const group = event.target.closest?.("g.frame");
    return group ? Number(group.dataset.node) : -1;
  };
  plot.addEventListener("mousemove", (event) => {
    const i = nodeOf(event);
    if (i < 0) tipHide();
    else tipShow(i, event.clientX, event.clientY);
  });
  plot.addEventListener("mouseleave", tipHide);
  let press = null;
  plot.addEventListener("mousedown", (event) => (press = [event.clientX, event.clientY]));
  plot.addEventListener("click", (event) => {
    const i = nodeOf(event);
    const isDrag = press && Math.hypot(event.clientX - press[0], event.clientY - press[1]) > CLICK_SLOP;
    if (i < 0 || isDrag) return;
    chosen = i;
    tipHide();
    zoom(i);
  });
  field.addEventListener("input", () => search(field.value));

  // The frame that an arrow leads to, among those that are drawn.
  const neighbour = (key) => {
    if (chosen < 0 || !isDrawn.has(chosen)) return zoomed;
    const isInward = (key === "ArrowDown") !== isFlame;
    if (key === "ArrowUp" || key === "ArrowDown") {
      const next = isInward ? chosen + 1 : parents[chosen];
      return isInward && (next >= ends[chosen] || !isDrawn.has(next)) ? chosen : next;
    }
    if (chosen === 0) return chosen;
    if (key === "ArrowRight") {
      const next = ends[chosen];
      return next < count && parents[next] === parents[chosen] && isDrawn.has(next) ? next : chosen;
    }
    let before = parents[chosen] + 1;
    if (before === chosen) return chosen;
    while (ends[before] !== chosen) before = ends[before];
    return isDrawn.has(before) ? before : chosen;
  };
  const choose = (i) => {
    chosen = i;
    draw();
    const box = plot.querySelector("g.chosen")?.getBoundingClientRect();
    if (box) tipShow(i, Math.max(box.left, 0) + 10, box.bottom - 8);
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === "f" && !event.altKey && flame.ownerSVGElement === null && document.documentElement === flame) {
        event.preventDefault();
        field.focus();
      }
      return;
    }
    if (event.key === "Escape") {
      reset();
      tipHide();
      field.blur();
    } else if (event.target.closest?.("input, textarea, button, select, a, summary")) {
      return;
    } else if (event.key === "/") {
      event.preventDefault();
      field.focus();
    } else if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      choose(neighbour(event.key));
    } else if (event.key === "Enter" && chosen >= 0) zoom(chosen);
    else if (event.key === "Backspace") zoom(parents[zoomed]);
    else if (event.key === "i") flip();
    else if (event.key === "b" && isDiff) swap();
  });

  // The picture takes the width of its window; what stood at the right edge stays there.
  const fit = () => {
    const wide = widthNow() + 2 * MARGIN;
    legend.setAttribute("transform", `translate(${wide - 1200} 0)`);
    legend.style.display = wide < 760 ? "none" : "";
    draw();
  };
  const begin = () => {
    flame.removeAttribute("viewBox");
    flame.setAttribute("width", "100%");
    const ruler = make("text", { x: 0, y: -99 }, "m".repeat(40));
    flame.append(ruler, toolsBox, tipBox);
    letter = ruler.getComputedTextLength() / 40 || letter;
    ruler.remove();
    fit();
    window.addEventListener("resize", fit);
    flame.dataset.isReady = "yes";
  };
  // For the page around the picture, and for tests.
  flame.sidewinder = {
    search: (text) => {
      field.value = text;
      search(text);
    },
    state: () => ({ zoomed, shown, isFlame, drawn: isDrawn.size, matched: matched.textContent, count }),
  };
  begin();
})();
