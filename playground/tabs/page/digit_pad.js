// After latent_pad.js and strokes.js, in their scope: test digits, strokes that are sent while they are drawn, a first digit.
const outer = $('.pad'), indices = outer.dataset.tests.split(' ').map(Number), hint = $('.hint');
const ROWS = indices.length / 10, PAUSE = 160; // milliseconds between two pictures of one stroke
const tests = new Image();
const ready = new Promise((resolve) => { tests.onload = resolve; });
tests.src = getComputedStyle($('.tests')).getPropertyValue('--tests').trim().replace(/^url\(["']?|["']?\)$/g, '');
let place = -1, sent = 0;
const press = () => element.querySelectorAll('[data-digit]').forEach((button) =>
  button.setAttribute('aria-pressed', String(place >= 0 && Number(button.dataset.digit) === place % 10)));
const paint = async (next) => {
  place = next;
  press();
  hint.hidden = true;
  await ready;
  if (place !== next) return;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(tests, 28 * (next % 10), 28 * Math.floor(next / 10), 28, 28, 0, 0, canvas.width, canvas.height);
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-digit]');
  if (button) { // the same class again brings the next digit of it
    const label = Number(button.dataset.digit);
    const next = place >= 0 && place % 10 === label ? (place + 10) % (10 * ROWS) : label;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    image.hidden = true;
    image.removeAttribute('src');
    $('input').value = '';
    paint(next);
    send(`test:${indices[next]}`);
  } else if (event.target.closest('.wipe')) {
    place = -1;
    press();
    hint.hidden = false;
  }
});
canvas.addEventListener('pointerdown', () => {
  hint.hidden = true;
  place = -1;
  press();
});
$('input').addEventListener('change', () => {
  place = -1;
  press();
  hint.hidden = true;
});
sheet.addEventListener('drop', () => {
  place = -1;
  press();
  hint.hidden = true;
});
if (outer.dataset.live === '1') {
  canvas.addEventListener('pointermove', () => {
    if (!last || performance.now() - sent < PAUSE) return;
    sent = performance.now();
    send(canvas.toDataURL('image/png'));
  });
}
const given = String(props.value || '');
if (given.startsWith('test:')) {
  const found = indices.indexOf(Number(given.slice(5)));
  if (found >= 0) paint(found);
}
