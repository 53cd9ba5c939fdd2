// A figure as a file: what is seen, in its colours and its language, under a title that says what it is.
(() => {
  const NS = "http://www.w3.org/2000/svg", MARGIN = 20, LINE = 22, SCALE = 3;
  const PAINT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray",
    "stroke-linejoin", "paint-order", "font-size", "font-weight", "text-anchor"];
  const pen = document.createElement("canvas").getContext("2d");

  const make = (name, attributes, text = "") => {
    const made = document.createElementNS(NS, name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.textContent = text;
    return made;
  };

  // A copy that needs no style sheet: every colour and size is written into it, other languages are left out.
  const copied = (figure) => {
    const copy = figure.cloneNode(true), copies = [copy, ...copy.querySelectorAll("*")];
    [figure, ...figure.querySelectorAll("*")].forEach((one, index) => {
      const style = getComputedStyle(one);
      PAINT.forEach((key) => copies[index].setAttribute(key, style.getPropertyValue(key)));
      copies[index].removeAttribute("class");
    });
    const language = document.documentElement.dataset.language;
    copy.querySelectorAll("[lang]").forEach((one) => one.getAttribute("lang") === language || one.remove());
    return copy;
  };

  const seen = (one) => one.innerText.replace(/\s+/g, " ").trim();

  const lines = (text, font, width) => { // broken after a space, or anywhere in Chinese
    pen.font = font;
    return text.split(/(?<=[\s\u3000-\u9fff\uff00-\uffef])/).reduce((found, part) => {
      const longer = found.at(-1) + part;
      if (pen.measureText(longer.trim()).width <= width || !found.at(-1)) found[found.length - 1] = longer;
      else found.push(part);
      return found;
    }, [""]).map((line) => line.trim()).filter(Boolean);
  };

  const sheet = (figures, title) => {
    const style = getComputedStyle(document.body), family = getComputedStyle(figures[0]).fontFamily;
    const colour = (name) => style.getPropertyValue(`--pg-${name}`).trim();
    const boxes = figures.map((one) => one.viewBox.baseVal), cell = Math.max(...boxes.map((box) => box.width));
    const columns = figures.length > 1 ? 2 : 1, width = columns * (cell + MARGIN) + MARGIN;
    const whole = make("svg", { xmlns: NS, width, "font-family": family });
    const write = (text, x, y, room, size, weight, ink) => {
      const found = lines(text, `${weight} ${size}px ${family}`, room);
      found.forEach((line, index) => whole.append(make("text", {
        x, y: y + (index + 0.75) * LINE, "font-size": size, "font-weight": weight, fill: colour(ink) }, line)));
      return LINE * found.length;
    };
    let top = MARGIN + write(title, MARGIN, MARGIN, width - 2 * MARGIN, 16, 600, "ink") + 6, row = 0;
    figures.forEach((figure, index) => {
      const x = MARGIN + index % columns * (cell + MARGIN), box = boxes[index], copy = copied(figure);
      Object.entries({ x, y: top, width: box.width, height: box.height }).forEach((pair) => copy.setAttribute(...pair));
      whole.append(copy);
      const caption = figure.parentElement.querySelector("figcaption"), said = caption ? seen(caption) : "";
      row = Math.max(row, box.height + write(said, x, top + box.height, cell, 13, 400, "soft") + MARGIN);
      if (index % columns === columns - 1 || figure === figures.at(-1)) { top += row; row = 0; }
    });
    whole.setAttribute("height", top);
    whole.setAttribute("viewBox", `0 0 ${width} ${top}`);
    whole.prepend(make("title", {}, title), make("rect", { width, height: top, fill: colour("paper") }));
    return whole;
  };

  const painted = async (address, width, height) => {
    const image = new Image(), canvas = document.createElement("canvas");
    image.src = address;
    await image.decode();
    canvas.width = SCALE * width;
    canvas.height = SCALE * height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  };

  window.playground.save = async (button) => {
    const { kind, name, figures, titles } = button.dataset;
    const title = [...document.querySelectorAll(titles)].map(seen).filter(Boolean).join(" · ");
    const whole = sheet([...document.querySelectorAll(figures)], title);
    let content = new Blob([new XMLSerializer().serializeToString(whole)], { type: "image/svg+xml" });
    const source = URL.createObjectURL(content);
    if (kind === "png") content = await painted(source, +whole.getAttribute("width"), +whole.getAttribute("height"));
    const link = document.createElement("a");
    link.href = kind === "png" ? URL.createObjectURL(content) : source;
    link.download = `${name}.${kind}`;
    link.click();
    setTimeout(() => [source, link.href].forEach((address) => URL.revokeObjectURL(address)), 10000);
  };
})();
