// What to translate: a way, and emoji of a grid, a drawing or a file. The value is {"route", "pick"} as JSON.
const $ = (name) => element.querySelector(name), $$ = (name) => [...element.querySelectorAll(name)];
const most = Number($('.source').dataset.most), file = $('input[type=file]'), search = $('input[type=search]');
const canvas = $('canvas'), pen = canvas.getContext('2d'), image = $('.paper img'), LIMIT = 5 * 2 ** 20 + 1;
let now = JSON.parse(props.value || '{}'), last = null;
pen.lineCap = pen.lineJoin = 'round';
const way = () => $(`[data-route="${now.route}"]`);
const grid = () => $(`.grid[data-kind="${way().dataset.kind}"]`);
const chosen = () => /^(emoji|test):/.test(now.pick || '') ? now.pick.split(':')[1].split(',').map((n) => `${now.pick.split(':')[0]}:${n}`) : [];
const seen = () => [...grid().querySelectorAll('button:not([hidden])')];
const show = () => {
  $$('.ways button').forEach((button) => button.setAttribute('aria-pressed', String(button === way())));
  $$('.grid').forEach((one) => { one.hidden = one !== grid(); });
  const picked = new Set(chosen());
  $$('.grid button').forEach((button) => button.setAttribute('aria-pressed', String(picked.has(button.dataset.pick))));
  const colours = way().dataset.colours === '1';
  $('.inks').hidden = !colours;
  if (!colours) ink('#1b1b1b');
  pen.lineWidth = Number(way().dataset.pen);
  find();
};
const send = (pick) => {
  now = { route: now.route, pick };
  props.value = JSON.stringify(now);
  show();
  trigger('input');
};
const ink = (colour) => {
  pen.strokeStyle = pen.fillStyle = colour;
  $$('.swatch').forEach((button) => button.setAttribute('aria-pressed', String(button.dataset.colour === colour)));
};
const clear = () => {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  image.hidden = true;
  image.removeAttribute('src');
  file.value = '';
};
// The grid: every word that is typed must begin a word of the emoji; one button is in the way of the Tab key.
const find = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  grid().querySelectorAll('button').forEach((button) => {
    button.hidden = !words.every((word) => ` ${button.dataset.words}`.includes(` ${word}`));
    button.tabIndex = -1;
  });
  const there = seen();
  $('.none').hidden = there.length > 0;
  const first = there.find((button) => button.getAttribute('aria-pressed') === 'true') || there[0];
  if (first) first.tabIndex = 0;
};
const toggle = (button) => {
  const [named, number] = button.dataset.pick.split(':'), old = chosen().map((one) => one.split(':')[1]);
  const next = old.includes(number) ? old.filter((one) => one !== number) : [...old, number].slice(-most);
  clear();
  if (next.length) send(`${named}:${next.join(',')}`);
  button.focus();
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.dataset.route) {
    const kind = way().dataset.kind;
    now.route = button.dataset.route;
    const keep = now.pick && (now.pick.startsWith('data:') || way().dataset.kind === kind);
    send(keep ? now.pick : way().dataset.first);
  } else if (button.dataset.pick) toggle(button);
  else if (button.dataset.colour) ink(button.dataset.colour);
  else if (button.matches('.wipe')) clear();
  else if (button.matches('.choose')) file.click();
  else if (button.matches('.some')) {
    const from = seen(), some = [];
    while (from.length && some.length < most) some.push(from.splice(Math.floor(Math.random() * from.length), 1)[0]);
    if (!some.length) return;
    clear();
    const [named] = some[0].dataset.pick.split(':');
    send(`${named}:${some.map((one) => one.dataset.pick.split(':')[1]).join(',')}`);
  }
});
search.addEventListener('input', (event) => { event.stopPropagation(); find(); });
element.addEventListener('keydown', (event) => {
  const button = event.target.closest('.grid button');
  if (!button) return;
  const there = seen(), across = there.filter((one) => one.offsetTop === there[0].offsetTop).length;
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
  if (!step) return;
  event.preventDefault();
  const next = there[Math.min(Math.max(there.indexOf(button) + step, 0), there.length - 1)];
  there.forEach((one) => { one.tabIndex = one === next ? 0 : -1; });
  next.focus();
});
// The sheet: strokes, or a file. The server judges the file; of one that is too heavy it gets just enough to say so.
const at = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
};
canvas.addEventListener('pointerdown', (event) => {
  canvas.setPointerCapture(event.pointerId);
  last = at(event);
  pen.beginPath();
  pen.arc(...last, pen.lineWidth / 2, 0, 2 * Math.PI);
  pen.fill();
});
canvas.addEventListener('pointermove', (event) => {
  if (!last) return;
  const here = at(event);
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(...here);
  pen.stroke();
  last = here;
});
const lift = () => {
  if (!last) return;
  last = null;
  send(canvas.toDataURL('image/png'));
};
canvas.addEventListener('pointerup', lift);
canvas.addEventListener('pointercancel', lift);
const take = (given) => {
  if (!given) return;
  clear();
  const reader = new FileReader();
  reader.onload = () => send(String(reader.result));
  reader.readAsDataURL(given.slice(0, LIMIT, given.type || 'application/octet-stream'));
  image.src = URL.createObjectURL(given);
  image.alt = given.name;
  image.hidden = false;
};
file.addEventListener('change', (event) => { event.stopPropagation(); take(file.files[0]); });
const paper = $('.paper');
paper.addEventListener('dragover', (event) => { event.preventDefault(); paper.classList.add('over'); });
paper.addEventListener('dragleave', () => paper.classList.remove('over'));
paper.addEventListener('drop', (event) => {
  event.preventDefault();
  paper.classList.remove('over');
  take(event.dataTransfer.files[0]);
});
ink('#1b1b1b');
show();
