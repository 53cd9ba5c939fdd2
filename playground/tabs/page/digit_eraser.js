// The digit as models see it; a brush erases pixels, the value says which are kept.
const SIDE = 28, BRUSH = 2.2;
const canvas = element.querySelector('canvas'), pen = canvas.getContext('2d'), cell = canvas.width / SIDE;
const picture = new Image();
let kept = String(props.value || '').padEnd(SIDE * SIDE, '1').split(''), rubbing = false;
const draw = () => {
  pen.imageSmoothingEnabled = false;
  pen.fillStyle = '#000000';
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (props.picture && picture.complete && picture.naturalWidth) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  kept.forEach((one, index) => {
    if (one === '1') return;
    const x = index % SIDE, y = Math.floor(index / SIDE);
    pen.fillStyle = (x + y) % 2 ? '#8a3ffc' : '#6929c4';
    pen.fillRect(x * cell, y * cell, cell, cell);
  });
};
picture.onload = draw;
const load = () => {
  if (props.picture) picture.src = props.picture;
  else draw();
};
const send = () => { props.value = kept.join(''); trigger('input'); };
const rub = (event) => {
  const box = canvas.getBoundingClientRect();
  const x = (event.clientX - box.left) * SIDE / box.width - 0.5, y = (event.clientY - box.top) * SIDE / box.height - 0.5;
  for (let row = Math.ceil(y - BRUSH); row <= y + BRUSH; row++)
    for (let column = Math.ceil(x - BRUSH); column <= x + BRUSH; column++)
      if (row >= 0 && row < SIDE && column >= 0 && column < SIDE && Math.hypot(row - y, column - x) <= BRUSH)
        kept[row * SIDE + column] = '0';
  draw();
};
canvas.addEventListener('pointerdown', (event) => {
  canvas.setPointerCapture(event.pointerId);
  rubbing = true;
  rub(event);
});
canvas.addEventListener('pointermove', (event) => { if (rubbing) rub(event); });
const lift = () => {
  if (!rubbing) return;
  rubbing = false;
  send();
};
canvas.addEventListener('pointerup', lift);
canvas.addEventListener('pointercancel', lift);
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-mask]');
  if (!button) return;
  kept = button.dataset.mask.split('');
  draw();
  send();
});
watch('picture', load);
load();
draw();
