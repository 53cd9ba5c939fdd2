// What to translate, with strokes.js after it: a way, and emoji of a grid, a drawing or a file. The value is {"route", "pick"} as JSON.
const $ = (name) => element.querySelector(name), $$ = (name) => [...element.querySelectorAll(name)];
const most = Number($('.source').dataset.most), file = $('input[type=file]'), search = $('input[type=search]');
const canvas = $('canvas'), pen = canvas.getContext('2d'), image = $('.paper img'), sheet = $('.paper');
let now = JSON.parse(props.value || '{}');
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
const wipe = () => {
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
  wipe();
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
  else if (button.matches('.wipe')) {
    wipe();
    now.pick = '';
    props.value = JSON.stringify(now);
    show();
  }
  else if (button.matches('.choose')) file.click();
  else if (button.matches('.some')) {
    const from = seen(), some = [];
    while (from.length && some.length < most) some.push(from.splice(Math.floor(Math.random() * from.length), 1)[0]);
    if (!some.length) return;
    wipe();
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
file.addEventListener('change', (event) => { event.stopPropagation(); take(file.files[0]); });
ink('#1b1b1b');
show();
