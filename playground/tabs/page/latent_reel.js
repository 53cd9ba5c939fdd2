// Strips of frames under one slider. The value is JSON; the skeleton stays, so a slider under the finger stays too.
const $ = (name) => element.querySelector(name);
let reel = null, timer = null, back = false;
const past = [];
const saved = (key, name) => {
  try { return name === undefined ? localStorage.getItem(key) || '' : localStorage.setItem(key, name); } catch { return ''; }
};
const make = (tag, name, inner) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (inner !== undefined) made.innerHTML = inner;
  return made;
};
const stepsOf = (row) => {
  const bars = make('div', 'steps'), most = Math.max(...row.steps, 1e-9), width = 100 / row.frames;
  row.steps.forEach((step, index) => {
    const bar = bars.appendChild(make('b'));
    bar.title = step.toFixed(3);
    bar.style.cssText = `left:${(index + 0.62) * width}%;width:${0.76 * width}%;height:${Math.max(3, 100 * step / most)}%`;
  });
  return bars;
};
const nameOf = (row) => {
  const box = make('input', 'named'), key = `playground-direction-${row.key}`, { en, zh } = $('.reel').dataset;
  box.value = saved(key);
  box.maxLength = 40;
  Object.assign(box.dataset, { en, zh }); // the page says it in its language
  box.setAttribute('aria-label', `${en} · ${zh}`);
  box.addEventListener('input', () => saved(key, box.value));
  return box;
};
const rowOf = (row) => {
  const made = make('section', row.large ? 'row large' : 'row'), head = made.appendChild(make('header'));
  head.appendChild(make('h3', '', row.title));
  if (row.key) head.appendChild(nameOf(row));
  head.appendChild(make('small', '', row.note));
  const frame = make('div', 'frame'), film = make('div', 'film'), picture = make('img');
  picture.src = row.strip;
  picture.alt = head.querySelector('h3').textContent;
  picture.onload = () => { frame.style.aspectRatio = `${picture.naturalWidth / row.frames} / ${picture.naturalHeight}`; };
  frame.style.backgroundImage = `url(${row.strip})`;
  frame.style.backgroundSize = `${100 * row.frames}% 100%`;
  film.append(picture, make('i'));
  film.addEventListener('click', (event) => {
    const box = film.getBoundingClientRect();
    halt();
    go(Math.floor((event.clientX - box.left) / box.width * row.frames));
  });
  const right = make('div', 'strip');
  if (row.steps) right.append(stepsOf(row));
  right.append(film);
  made.prepend(frame);
  if (row.large) made.prepend(head);
  made.append(right);
  if (row.says) made.append(make('div', 'says'));
  return made;
};
const go = (wanted) => {
  const last = reel.marks.length - 1, at = Math.min(Math.max(wanted, 0), last);
  $('.slider').value = at;
  $('output').textContent = reel.marks[at];
  $('.note').style.setProperty('--at', last ? at / last : 0);
  [...element.querySelectorAll('.row')].forEach((made, index) => {
    const row = reel.rows[index], cursor = made.querySelector('.film i');
    made.querySelector('.frame').style.backgroundPosition = `${last ? 100 * at / last : 0}% 0`;
    cursor.style.left = `${100 * at / row.frames}%`;
    cursor.style.width = `${100 / row.frames}%`;
    if (row.says) made.querySelector('.says').innerHTML = row.says[at];
  });
};
const halt = () => { clearInterval(timer); timer = null; $('.play').textContent = '▶'; };
const play = () => {
  const last = reel.marks.length - 1;
  $('.play').textContent = '❚❚';
  timer = setInterval(() => {
    if (!element.isConnected) return halt();
    let at = +$('.slider').value;
    if (at >= last) back = true;
    if (at <= 0) back = false;
    go(at + (back ? -1 : 1));
  }, Math.max(80, 1800 / (last + 1)));
};
const remember = (lines) => {
  past.unshift(...lines);
  past.length = Math.min(past.length, 10);
  const body = $('tbody');
  if (!body) return;
  body.replaceChildren(...past.map((line) => make('tr', '', line.map((cell) => `<td>${cell}</td>`).join(''))));
  $('table').hidden = false;
};
const receive = () => {
  const got = props.value ? JSON.parse(props.value) : null;
  $('.reel').classList.toggle('busy', Boolean(got && got.busy));
  if (!got) return;
  $('.pg-status').innerHTML = got.status;
  if (!got.rows) return;
  halt();
  reel = got;
  $('.ready').hidden = true;
  $('.body').hidden = false;
  $('.thumbs').replaceChildren(...(got.thumbs || []).map((thumb) =>
    make('div', '', `<img src="${thumb.picture}" alt=""><span>${thumb.title}</span>`)));
  $('.rows').replaceChildren(...got.rows.map(rowOf));
  $('.note').innerHTML = got.note || '';
  $('.pg-downloads').innerHTML = got.downloads || '';
  $('.slider').max = got.marks.length - 1;
  if (got.history) remember(got.history);
  go(got.start || 0);
};
element.addEventListener('input', (event) => {
  if (!event.target.matches('.slider')) return;
  halt();
  go(+event.target.value);
});
element.addEventListener('click', (event) => {
  if (event.target.closest('.play')) timer ? halt() : play();
});
watch('value', receive);
receive();
