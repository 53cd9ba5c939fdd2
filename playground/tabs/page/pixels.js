// A digit read pixel by pixel: three maps under one slider, the next pixel's distribution, the belief in a class.
const $ = (name) => element.querySelector(name), all = (name) => element.querySelectorAll(name);
const SIDE = 28, NUM = SIDE * SIDE;
const RAMP = [[6, 10, 30], [60, 24, 112], [168, 44, 118], [240, 112, 72], [253, 220, 140]];
let got = null, at = NUM, timer = null;
const colour = (share) => {
  const place = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1), low = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[low].map((from, index) => from + (place - low) * (RAMP[low + 1][index] - from));
};
const unknown = (index) => { const dark = (index + Math.floor(index / SIDE)) % 2; return dark ? [96, 104, 120] : [112, 120, 136]; };
const paint = (key, until, shade) => {
  const canvas = $(`canvas.${key}`), pen = canvas.getContext('2d'), picture = pen.createImageData(SIDE, SIDE);
  for (let index = 0; index < NUM; index++) {
    const [r, g, b] = index < until ? shade(index) : unknown(index);
    picture.data.set([r, g, b, 255], 4 * index);
  }
  pen.putImageData(picture, 0, 0);
};
const cursor = () => {
  all('.maps .here').forEach((mark) => mark.remove());
  if (at >= NUM) return;
  all('.maps .frame').forEach((frame) => {
    const mark = frame.appendChild(document.createElement('i'));
    mark.className = 'here';
    mark.style.left = `${100 * (at % SIDE) / SIDE}%`;
    mark.style.top = `${100 * Math.floor(at / SIDE) / SIDE}%`;
  });
};
const say = (name, value) => all(`.says .${name}`).forEach((found) => { found.textContent = value; });
const share = (permille) => (permille >= 100 ? `${(permille / 10).toFixed(0)}%` : permille >= 1 ? `${(permille / 10).toFixed(1)}%` : '< 0.1%');
const bars = () => {
  const rows = $('.bars');
  if (rows.childElementCount !== got.bins) {
    rows.replaceChildren(...Array.from({ length: got.bins }, () => {
      const bar = document.createElement('span');
      bar.append(document.createElement('i'), document.createElement('small'));
      return bar;
    }));
    rows.style.gridTemplateColumns = `repeat(${got.bins}, minmax(0, 1fr))`;
  }
  const place = Math.min(at, NUM - 1), drawn = Math.min(got.bins - 1, Math.floor(got.x[place] * got.bins / 256));
  [...rows.children].forEach((bar, index) => {
    const height = at >= NUM ? 0 : got.shares[place * got.bins + index];
    bar.firstChild.style.height = `${height / 10}%`;
    bar.classList.toggle('drawn', at < NUM && index === drawn);
    bar.lastChild.textContent = got.bins === 2 && at < NUM ? share(height) : '';
  });
};
const belief = () => {
  $('.belief').hidden = !got.belief;
  if (!got.belief) return;
  const rows = $('.classes');
  if (!rows.childElementCount) {
    for (let label = 0; label < got.classes; label++) {
      const row = rows.appendChild(document.createElement('div'));
      row.className = 'class';
      row.innerHTML = `<span>${label}</span><div><i></i></div><b></b>`;
    }
  }
  const now = got.belief.slice(at * got.classes, (at + 1) * got.classes), most = Math.max(...now);
  [...rows.children].forEach((row, label) => {
    row.querySelector('i').style.width = `${now[label] / 10}%`;
    row.querySelector('b').textContent = share(now[label]);
    row.classList.toggle('most', now[label] === most);
  });
};
const go = (place) => {
  at = place;
  $('.slider').value = at;
  $('.pg-scrub output').textContent = `${at} / ${NUM}`;
  const most = Math.max(100, ...got.nats);
  paint('x', at, (index) => [got.x[index], got.x[index], got.x[index]]);
  paint('ink', Math.min(at + 1, NUM), (index) => colour(got.ink[index] / 1000));
  paint('nats', at, (index) => colour(Math.sqrt(got.nats[index] / most)));
  $('.most').textContent = (most / 100).toFixed(1);
  cursor();
  $('.next').hidden = at >= NUM;
  $('.total').hidden = at < NUM;
  if (at < NUM) {
    say('where', `${Math.floor(at / SIDE)}, ${at % SIDE}`);
    say('chance', share(got.ink[at]));
    say('level', got.bins === 2 ? got.x[at] / 255 : got.x[at]);
    say('nats', (got.nats[at] / 100).toFixed(2));
    say('sum', (got.nats.slice(0, at + 1).reduce((sum, value) => sum + value, 0) / 100).toFixed(1));
  }
  bars();
  belief();
};
const halt = () => { clearInterval(timer); timer = null; $('.play').textContent = '▶'; };
const play = () => {
  $('.play').textContent = '❚❚';
  if (at >= NUM) go(0);
  timer = setInterval(() => {
    if (!element.isConnected || at >= NUM) return halt();
    go(Math.min(at + 2, NUM));
  }, 33);
};
const receive = () => {
  const next = props.value ? JSON.parse(props.value) : null;
  if (!next) return;
  $('.pg-status').innerHTML = next.status;
  if (next.busy && !next.x) return;
  $('.ready').hidden = true;
  $('.body').hidden = false;
  halt();
  $('.body').classList.toggle('writing', Boolean(next.busy));
  if (next.busy) {
    at = next.at;
    paint('x', at, (index) => [next.x[index], next.x[index], next.x[index]]);
    ['ink', 'nats'].forEach((key) => paint(key, 0));
    cursor();
    $('.slider').value = at;
    $('.pg-scrub output').textContent = `${at} / ${NUM}`;
    return;
  }
  got = next;
  $('.total').innerHTML = got.total;
  go(NUM);
};
element.addEventListener('input', (event) => {
  if (!event.target.matches('.slider') || !got) return;
  halt();
  go(+event.target.value);
});
element.addEventListener('click', (event) => {
  const frame = event.target.closest('.frame');
  if (!got || $('.body').classList.contains('writing')) return;
  if (event.target.closest('.play')) timer ? halt() : play();
  else if (frame) {
    const box = frame.getBoundingClientRect(), inside = (value, size) => Math.min(SIDE - 1, Math.max(0, Math.floor(value / size * SIDE)));
    halt();
    go(inside(event.clientY - box.top, box.height) * SIDE + inside(event.clientX - box.left, box.width));
  }
});
watch('value', receive);
receive();
