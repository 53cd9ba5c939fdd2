// A square of pictures under the pointer: all were drawn beforehand and came as one sheet, so nothing is asked again.
const $ = (name) => element.querySelector(name);
const canvas = $('canvas'), pen = canvas.getContext('2d'), SIZE = canvas.width;
const LIGHT = ['#1b66a8', '#c2560a', '#23803a', '#b8262e', '#7748ad', '#75483c', '#b03f88', '#5c6470', '#7d7a00', '#087f8f'];
const DARK = ['#6fb6f2', '#f5a05c', '#6fd184', '#f48a8a', '#c0a0f2', '#d0a796', '#f09ad0', '#b6bfcc', '#d8d24e', '#5fd3e3'];
let plane = null, sheet = null, here = [0.5, 0.5], way = [], spot = null, timer = null;
const cellOf = ([x, y]) => [x, y].map((v) => Math.min(plane.cells - 1, Math.max(0, Math.floor(v * plane.cells))));
const put = (box, place) => {
  const [column, line] = cellOf(place), most = plane.cells - 1;
  box.style.backgroundImage = `url(${plane.sheet})`;
  box.style.backgroundSize = `${100 * plane.cells}%`;
  box.style.backgroundPosition = `${100 * column / most}% ${100 * line / most}%`;
};
const paint = () => {
  if (!plane || !sheet) return;
  const dark = document.body.classList.contains('dark'), colours = dark ? DARK : LIGHT, side = SIZE / plane.cells;
  pen.clearRect(0, 0, SIZE, SIZE);
  pen.imageSmoothingEnabled = false;
  if (!plane.points || $('.show').checked) {
    pen.globalAlpha = plane.points ? 0.35 : 1;
    pen.drawImage(sheet, 0, 0, SIZE, SIZE);
    pen.globalAlpha = 1;
  }
  if (plane.points) {
    pen.font = '600 17px system-ui, sans-serif';
    pen.textAlign = 'center';
    pen.textBaseline = 'middle';
    plane.points.forEach(([x, y, label]) => {
      pen.fillStyle = colours[label % 10];
      pen.fillText(plane.names[label].length < 3 ? plane.names[label] : '●', x * SIZE / 1000, y * SIZE / 1000);
    });
  }
  const [column, line] = cellOf(spot || here), ink = getComputedStyle(element).getPropertyValue('--pg-1') || '#c2560a';
  pen.strokeStyle = ink;
  pen.lineWidth = 4;
  pen.strokeRect(column * side, line * side, side, side);
  if (way.length) {
    pen.beginPath();
    way.forEach(([x, y], index) => (index ? pen.lineTo(x * SIZE, y * SIZE) : pen.moveTo(x * SIZE, y * SIZE)));
    pen.stroke();
    pen.fillStyle = ink;
    way.forEach(([x, y]) => { pen.beginPath(); pen.arc(x * SIZE, y * SIZE, 7, 0, 2 * Math.PI); pen.fill(); });
  }
};
const look = (place) => { here = place; put($('.big'), place); paint(); };
// Places along the whole polyline, at equal distances.
const along = (num) => {
  const parts = way.slice(1).map((end, index) => [way[index], end, Math.hypot(end[0] - way[index][0], end[1] - way[index][1])]);
  const total = parts.reduce((sum, part) => sum + part[2], 0);
  return Array.from({ length: num }, (_, index) => {
    let left = total * index / (num - 1);
    for (const [a, b, length] of parts) {
      if (left <= length + 1e-9) return a.map((v, axis) => v + (b[axis] - v) * (length ? left / length : 0));
      left -= length;
    }
    return way[way.length - 1];
  });
};
const strip = () => {
  $('.way').replaceChildren(...(way.length > 1 ? along(24) : []).map((place) => {
    const box = document.createElement('div');
    put(box, place);
    return box;
  }));
};
const halt = () => { clearInterval(timer); timer = null; spot = null; paint(); };
const walk = () => {
  halt();
  if (way.length < 2) return;
  const places = along(72), boxes = [...element.querySelectorAll('.way div')];
  let step = 0;
  timer = setInterval(() => {
    if (step >= places.length || !element.isConnected) return halt();
    spot = places[step];
    put($('.big'), spot);
    boxes.forEach((box, index) => box.classList.toggle('now', index === Math.floor(step / 3)));
    paint();
    step += 1;
  }, 60);
};
const add = (place) => { halt(); way = [...way.slice(-7), place]; strip(); look(place); if (way.length > 1) walk(); };
const at = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((v) => Math.min(0.999, Math.max(0, v)));
};
canvas.addEventListener('pointermove', (event) => { if (plane && !timer) look(at(event)); });
canvas.addEventListener('click', (event) => { if (plane) add(at(event)); });
canvas.addEventListener('keydown', (event) => {
  if (!plane) return;
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (step) look(cellOf(here).map((v, axis) => (Math.min(plane.cells - 1, Math.max(0, v + step[axis])) + 0.5) / plane.cells));
  else if (event.key === 'Enter' && !event.ctrlKey && !event.metaKey) add(here);
  else return;
  event.preventDefault();
});
element.addEventListener('click', (event) => {
  if (event.target.closest('.walk')) walk();
  else if (event.target.closest('.clear')) { way = []; strip(); halt(); }
});
element.addEventListener('change', paint);
new MutationObserver(paint).observe(document.body, { attributes: true, attributeFilter: ['class'] });
const receive = () => {
  const got = props.value ? JSON.parse(props.value) : null;
  $('.plane').classList.toggle('busy', Boolean(got && got.busy));
  if (!got) return;
  $('.pg-status').innerHTML = got.status;
  if (!got.sheet) return;
  plane = got;
  way = [];
  $('.ready').hidden = true;
  $('.body').hidden = false;
  $('.plane').classList.toggle('points', Boolean(got.points));
  $('.note').innerHTML = got.note || '';
  ['a', 'b', 'c', 'd'].forEach((name, index) => { $(`.corner.${name}`).innerHTML = (got.corners || [])[index] || ''; });
  sheet = new Image();
  sheet.onload = () => { strip(); look([0.5, 0.5]); };
  sheet.src = got.sheet;
};
watch('value', receive);
receive();
