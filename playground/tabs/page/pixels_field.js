// Two receptive fields of one place: a click, or the arrow keys, choose another; the value is "ROW COLUMN".
const SIDE = 28, body = element.querySelector('.body'), figures = [...element.querySelectorAll('figure')];
const RAMP = [[30, 60, 110], [38, 120, 178], [80, 180, 170], [190, 222, 120], [255, 246, 170]];
const UNSEEN = [118, 126, 142], BLIND = [226, 74, 51], HERE = [255, 255, 255];
let [row, column] = String(props.value || '14 13').split(' ').map(Number);
const shade = (value) => {
  const place = value / 100 * (RAMP.length - 1), low = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[low].map((from, index) => from + (place - low) * (RAMP[low + 1][index] - from));
};
const draw = (figure, map, here) => {
  const canvas = figure.querySelector('canvas'), pen = canvas.getContext('2d'), picture = pen.createImageData(SIDE, SIDE);
  const line = getComputedStyle(element).getPropertyValue('--pg-line').trim();
  const future = [1, 3, 5].map((at) => parseInt(line.slice(at, at + 2), 16));
  map.shades.forEach((value, index) => {
    const found = index === here ? HERE : value >= 0 ? shade(value) : value === -2 ? BLIND : index < here ? UNSEEN : future;
    picture.data.set([...found, 255], 4 * index);
  });
  pen.putImageData(picture, 0, 0);
  figure.querySelector('figcaption').innerHTML = map.title;
  figure.querySelector('.note').innerHTML = map.note;
};
const receive = () => {
  if (!props.maps) return;
  const got = JSON.parse(props.maps);
  element.querySelector('.ready').hidden = true;
  body.hidden = false;
  figures.forEach((figure, index) => draw(figure, got.maps[index], got.row * SIDE + got.column));
};
const ask = (nextRow, nextColumn) => {
  const inside = (value) => Math.min(SIDE - 1, Math.max(0, value));
  [row, column] = [inside(nextRow), inside(nextColumn)];
  props.value = `${row} ${column}`;
  trigger('input');
};
element.addEventListener('click', (event) => {
  if (event.target.tagName !== 'CANVAS') return;
  const box = event.target.getBoundingClientRect();
  ask(Math.floor((event.clientY - box.top) / box.height * SIDE), Math.floor((event.clientX - box.left) / box.width * SIDE));
});
element.addEventListener('keydown', (event) => {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!move || event.target.tagName !== 'CANVAS') return;
  event.preventDefault();
  ask(row + move[0], column + move[1]);
});
new MutationObserver(receive).observe(document.body, { attributes: true, attributeFilter: ['class'] });
watch('maps', receive);
receive();
