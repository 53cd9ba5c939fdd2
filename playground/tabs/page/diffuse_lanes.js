// Ways side by side: every row of a lane is a strip of frames, and one slider moves through all of them.
const $ = (name) => element.querySelector(name);
let shown = null, timer = null;
const make = (tag, name, inner) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (inner !== undefined) made.innerHTML = inner;
  return made;
};
const at = (event, box, num) => Math.min(Math.max(Math.floor(num * (event.clientX - box.left) / box.width), 0), num - 1);
const jump = (film, num) => film.addEventListener('click', (event) => {
  halt();
  go(at(event, film.getBoundingClientRect(), num));
});
const screenOf = (row) => {
  const figure = make('figure', row.wide ? 'wide' : ''), frame = figure.appendChild(make('div', 'frame')), picture = new Image();
  picture.onload = () => { frame.style.aspectRatio = `${picture.naturalWidth / row.frames} / ${picture.naturalHeight}`; };
  picture.src = row.strip;
  frame.style.backgroundImage = `url(${row.strip})`;
  frame.style.backgroundSize = `${100 * row.frames}% 100%`;
  frame.setAttribute('role', 'img');
  const caption = figure.appendChild(make('figcaption', '', row.title));
  frame.setAttribute('aria-label', caption.textContent);
  return figure;
};
const filmOf = (row) => {
  const box = make('div', '', `<small>${row.title}</small>`), film = box.appendChild(make('div', 'film'));
  const picture = film.appendChild(make('img'));
  picture.src = row.film;
  picture.alt = '';
  film.append(make('i'));
  film.dataset.thumbs = row.thumbs;
  jump(film, row.frames);
  return box;
};
const laneOf = (lane, index) => {
  const made = make('section', 'lane');
  made.style.setProperty('--c', `var(--pg-${index % 6})`);
  made.append(make('header', '', `<h3>${lane.title}</h3><small>${lane.facts || ''}</small>`));
  const screens = made.appendChild(make('div', 'screens'));
  lane.rows.forEach((row) => screens.append(screenOf(row)));
  if (shown.marks.length > 1) {
    const films = made.appendChild(make('div', 'films'));
    lane.rows.filter((row) => row.film).forEach((row) => films.append(filmOf(row)));
    if (lane.classes) {
      const classes = films.appendChild(make('div', 'classes', `${lane.classes}<i></i>`));
      jump(classes, shown.marks.length);
    }
  }
  if (lane.says) made.append(make('div', 'says'));
  return made;
};
const go = (wanted) => {
  const last = shown.marks.length - 1, place = Math.min(Math.max(wanted, 0), last);
  $('.slider').value = place;
  $('output').textContent = shown.marks[place] || '';
  element.querySelectorAll('.lane').forEach((made, index) => {
    made.querySelectorAll('.frame').forEach((frame) => {
      frame.style.backgroundPosition = `${last > 0 ? 100 * place / last : 0}% 0`;
    });
    made.querySelectorAll('.film').forEach((film) => {
      const cursor = film.querySelector('i'), num = +film.dataset.thumbs;
      cursor.style.left = `${last > 0 ? 100 * (1 - 1 / num) * place / last : 0}%`;
      cursor.style.width = `${100 / num}%`;
    });
    const line = made.querySelector('.classes i'), says = made.querySelector('.says');
    if (line) line.style.left = `${100 * (place + 0.5) / (last + 1)}%`;
    if (says) says.innerHTML = shown.lanes[index].says[place];
  });
};
const halt = () => { clearInterval(timer); timer = null; $('.play').textContent = '▶'; };
const play = () => {
  const last = shown.marks.length - 1;
  $('.play').textContent = '❚❚';
  if (+$('.slider').value >= last) go(0);
  timer = setInterval(() => {
    if (!element.isConnected || +$('.slider').value >= last) return halt();
    go(+$('.slider').value + 1);
  }, Math.max(60, 3000 / (last + 1)));
};
const receive = () => {
  const got = props.value ? JSON.parse(props.value) : null;
  if (!got) return;
  $('.lanes-panel').classList.toggle('busy', Boolean(got.busy));
  $('.pg-status').innerHTML = got.status;
  $('.body').classList.toggle('old', !got.lanes);
  if (!got.lanes) return;
  halt();
  shown = { marks: [''], ...got };
  $('.ready').hidden = true;
  $('.body').hidden = false;
  $('.lanes').replaceChildren(...shown.lanes.map(laneOf));
  $('.note').innerHTML = got.note || '';
  $('.pg-downloads').innerHTML = got.downloads || '';
  $('.pg-scrub').hidden = shown.marks.length < 2;
  $('.slider').max = shown.marks.length - 1;
  go(got.start === undefined ? shown.marks.length - 1 : got.start);
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
