// A picture's way through a flow and back: frames under one slider, and bars of what every layer adds.
const $ = (name) => element.querySelector(name);
let way = null, timer = null;
const make = (tag, name, inner) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (inner !== undefined) made.innerHTML = inner;
  return made;
};
const last = () => way.titles.length - 1;
const go = (wanted) => {
  const at = Math.min(Math.max(wanted, 0), last()), num = last() + 1;
  $('.slider').value = at;
  $('output').textContent = `${at} / ${last()}`;
  $('.frame').style.backgroundPosition = `${100 * at / last()}% 0`;
  $('.title').innerHTML = way.titles[at];
  $('.says').innerHTML = way.says[at];
  const cursor = $('.film i');
  cursor.style.left = `${100 * at / num}%`;
  cursor.style.width = `${100 / num}%`;
  element.querySelectorAll('.bar').forEach((bar) => bar.classList.toggle('here', Number(bar.dataset.frame) === at));
};
const halt = () => { clearInterval(timer); timer = null; $('.play').textContent = '▶'; };
const play = () => {
  $('.play').textContent = '❚❚';
  if (+$('.slider').value >= last()) go(0);
  timer = setInterval(() => {
    if (!element.isConnected || +$('.slider').value >= last()) return halt();
    go(+$('.slider').value + 1);
  }, Math.max(90, 3600 / last()));
};
const barOf = (bar, low, high) => {
  const made = make('button', 'bar'), span = high - low || 1;
  made.type = 'button';
  made.dataset.frame = bar.frame;
  made.append(make('span', 'name', bar.title));
  const track = made.appendChild(make('span', 'track')), fill = track.appendChild(make('i', bar.value < 0 ? 'less' : ''));
  fill.style.left = `${100 * (Math.min(bar.value, 0) - low) / span}%`;
  fill.style.width = `${Math.max(0.3, 100 * Math.abs(bar.value) / span)}%`;
  made.append(make('span', 'value', bar.value.toLocaleString('en', { maximumFractionDigits: 1 }).replace('-', '−')));
  made.addEventListener('click', () => { halt(); go(bar.frame); });
  return made;
};
const receive = () => {
  const got = props.value ? JSON.parse(props.value) : null;
  if (!got) return;
  const at = way && way.titles.length === got.titles.length ? +$('.slider').value : 0;
  halt();
  way = got;
  $('.pg-status').innerHTML = got.status;
  $('.ready').hidden = true;
  $('.body').hidden = false;
  $('.film img').src = got.strip;
  $('.frame').style.backgroundImage = `url(${got.strip})`;
  $('.frame').style.backgroundSize = `${100 * got.titles.length}% 100%`;
  $('.slider').max = last();
  const values = got.bars.map((bar) => bar.value), low = Math.min(0, ...values), high = Math.max(0, ...values);
  $('.bars').replaceChildren(...got.bars.map((bar) => barOf(bar, low, high)));
  $('.sum').innerHTML = got.sum;
  $('.error').innerHTML = got.error;
  go(at);
};
element.addEventListener('input', (event) => {
  if (!event.target.matches('.slider')) return;
  halt();
  go(+event.target.value);
});
element.addEventListener('click', (event) => {
  const film = event.target.closest('.film');
  if (event.target.closest('.play')) timer ? halt() : play();
  else if (film) {
    const box = film.getBoundingClientRect();
    halt();
    go(Math.floor((event.clientX - box.left) / box.width * (last() + 1)));
  }
});
watch('value', receive);
receive();
