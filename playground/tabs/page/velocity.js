// The exact velocity field at any time, and particles that follow it in as many Euler steps as one asks for.
const $ = (name) => element.querySelector(name), all = (name) => [...element.querySelectorAll(name)];
const numbers = (text) => Float32Array.from(
  new Int16Array(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer), (level) => level / shown.scale);
let shown = null, steps = 'all', place = 0, timer = null;
const colour = (name) => getComputedStyle(element).getPropertyValue(name).trim();
const unpack = (got) => {
  shown = got;
  shown.points = numbers(got.points);
  for (const way of Object.values(shown.ways)) {
    way.arrows = numbers(way.arrows);
    for (const key of Object.keys(way.walks)) way.walks[key] = numbers(way.walks[key]);
  }
};
const arrow = (pen, x, y, dx, dy) => {
  const length = Math.hypot(dx, dy), head = Math.min(4, length / 2);
  if (length < 0.7) return;
  const ux = dx / length, uy = dy / length;
  pen.moveTo(x, y);
  pen.lineTo(x + dx, y + dy);
  pen.lineTo(x + dx - head * (ux - 0.6 * uy), y + dy - head * (uy + 0.6 * ux));
  pen.moveTo(x + dx, y + dy);
  pen.lineTo(x + dx - head * (ux + 0.6 * uy), y + dy - head * (uy - 0.6 * ux));
};
const draw = (canvas, way, hue) => {
  const size = 2 * (canvas.clientWidth || 400), pen = canvas.getContext('2d'), { extent, grid, frames, num } = shown;
  canvas.width = canvas.height = size;
  const at = (value) => (value / extent + 1) / 2 * size, dot = size / 400;
  pen.fillStyle = colour('--pg-soft');
  pen.globalAlpha = 0.45;
  for (let i = 0; i < shown.points.length; i += 2) {
    pen.fillRect(at(shown.points[i]) - dot, size - at(shown.points[i + 1]) - dot, 2 * dot, 2 * dot);
  }
  pen.globalAlpha = 0.8;
  pen.strokeStyle = colour('--pg-soft');
  pen.lineWidth = 0.9 * dot;
  pen.beginPath();
  for (let row = 0; row < grid; row++) {
    for (let column = 0; column < grid; column++) {
      const index = 2 * ((place * grid + row) * grid + column), cell = size / grid;
      arrow(pen, (column + 0.5) * cell, size - (row + 0.5) * cell, // time falls: particles go against v
        -way.arrows[index] * 0.17 * cell, way.arrows[index + 1] * 0.17 * cell);
    }
  }
  pen.stroke();
  const walk = way.walks[steps], parts = walk.length / (2 * num) - 1, gone = place / (frames - 1) * parts;
  pen.strokeStyle = pen.fillStyle = colour(hue);
  pen.lineWidth = 1.5 * dot;
  for (let particle = 0; particle < num; particle++) {
    const node = (k) => [at(walk[2 * (k * num + particle)]), size - at(walk[2 * (k * num + particle) + 1])];
    const last = Math.min(Math.floor(gone), parts - 1), share = gone - last, [x, y] = node(last), [nx, ny] = node(last + 1);
    const here = [x + share * (nx - x), y + share * (ny - y)];
    pen.globalAlpha = 0.5;
    pen.beginPath();
    for (let k = 0; k <= last; k++) pen.lineTo(...node(k));
    pen.lineTo(...here);
    pen.stroke();
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.arc(...here, 2.6 * dot, 0, 7);
    pen.fill();
  }
  pen.globalAlpha = 1;
};
const go = (wanted) => {
  if (!shown) return;
  place = Math.min(Math.max(wanted, 0), shown.frames - 1);
  $('.slider').value = place;
  $('output').textContent = `t = ${(1 - place / (shown.frames - 1)).toFixed(2)}`;
  all('figure').forEach((figure, index) => {
    const way = shown.ways[figure.dataset.way];
    draw(figure.querySelector('canvas'), way, `--pg-${index}`);
    const said = { missed: way.missed[steps], chance: shown.chance, bend: way.bend, detour: way.detour };
    for (const [name, value] of Object.entries(said)) { // in every language
      figure.querySelectorAll(`.${name}`).forEach((one) => { one.textContent = value; });
    }
  });
};
const choose = (wanted) => {
  steps = wanted;
  all('[data-steps]').forEach((button) => button.setAttribute('aria-pressed', String(button.dataset.steps === steps)));
  go(place);
};
const halt = () => { clearInterval(timer); timer = null; $('.play').textContent = '▶'; };
const play = () => {
  $('.play').textContent = '❚❚';
  if (place >= shown.frames - 1) go(0);
  timer = setInterval(() => {
    if (!element.isConnected || place >= shown.frames - 1) return halt();
    go(place + 1);
  }, 90);
};
const receive = () => {
  if (!props.value) return;
  unpack(JSON.parse(props.value));
  $('.field').classList.add('shown');
  $('.slider').max = shown.frames - 1;
  choose(steps);
};
element.addEventListener('input', (event) => {
  if (!event.target.matches('.slider')) return;
  halt();
  go(+event.target.value);
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-steps]');
  if (button) choose(button.dataset.steps);
  else if (event.target.closest('.play')) timer ? halt() : play();
});
new ResizeObserver(() => go(place)).observe($('.planes'));
new MutationObserver(() => go(place)).observe(document.body, { attributes: true, attributeFilter: ['class'] });
watch('value', receive);
place = 0;
receive();
