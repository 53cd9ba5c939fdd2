// Noise at any timestep of any schedule, mixed here: x_t = sqrt(a) x_0 + sqrt(1 - a) eps, a = 1 / (1 + exp(-log SNR)).
const $ = (name) => element.querySelector(name), all = (name) => [...element.querySelectorAll(name)];
const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const tables = JSON.parse(props.tables), normal = floats(tables.normal), BINS = normal.length, LAST = 999;
const schedules = Object.fromEntries(Object.entries(tables.schedules).map(([name, one]) =>
  [name, { snr: floats(one.snr), beta: floats(one.beta) }]));
const names = Object.keys(schedules);
let schedule = 'cosine', t = 300, x0 = null, eps = null, shape = null, ways = null, timer = null;
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const said = (value) => (Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3)
  ? value.toExponential(2) : value.toPrecision(3));
const paint = (name, values) => {
  const canvas = $(`canvas.${name}`), { side, channels } = shape;
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  for (let place = 0; place < side * side; place++) {
    for (let channel = 0; channel < 3; channel++) {
      const value = values[place * channels + (channels === 3 ? channel : 0)];
      image.data[4 * place + channel] = Math.round((Math.min(Math.max(value, -1), 1) + 1) * 127.5);
    }
    image.data[4 * place + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
};
const steps = (shares, top) => shares.reduce((path, share, index) =>
  `${path}L${560 * index / BINS} ${150 - 146 * Math.min(share / top, 1)}H${560 * (index + 1) / BINS}`, 'M0 150') + 'L560 150Z';
const spread = (values) => {
  const shares = new Array(BINS).fill(0);
  for (const value of values) {
    const bin = Math.floor((value + tables.limit) / (2 * tables.limit) * BINS);
    shares[Math.min(Math.max(bin, 0), BINS - 1)] += 1 / values.length;
  }
  return shares;
};
const far = (shares) =>
  `${(50 * shares.reduce((sum, share, index) => sum + Math.abs(share - normal[index]), 0)).toFixed(1)}%`;
const mix = () => {
  const snr = schedules[schedule].snr[t], signal = Math.sqrt(sigmoid(snr)), noise = Math.sqrt(sigmoid(-snr));
  const xt = x0.map((value, index) => signal * value + noise * eps[index]), shares = spread(xt);
  paint('xt', xt);
  $('.signal').textContent = signal.toFixed(3);
  $('.noise').textContent = noise.toFixed(3);
  const top = 1.3 * Math.max(...normal, Math.min(Math.max(...shares), 0.25)); // a spike of background is cut off
  $('.bars').setAttribute('d', steps(shares, top));
  $('.normal').setAttribute('d', steps([...normal], top));
  $('.snr').textContent = `${said(Math.exp(snr))} (log ${snr.toFixed(2)})`;
  $('.far').textContent = far(shares);
  $('.far_noise').textContent = far(spread(eps));
};
const meet = () => {
  const found = ways && ways[schedule];
  $('.ways').hidden = !found;
  if (!found) return;
  const at = found.t.reduce((best, stop, index) => (Math.abs(stop - t) < Math.abs(found.t[best] - t) ? index : best), 0);
  ['steps', 'jump'].forEach((way, index) => {
    const film = $(`.film[data-way=${way}] div`);
    if (film.dataset.shown !== found[way]) {
      film.dataset.shown = found[way];
      film.innerHTML = `<img alt="" src="${found[way]}"><i></i>`;
    }
    film.querySelector('i').style.left = `${100 * at / 13}%`;
    $(`.mean-${way}`).textContent = found.means[at][index].toFixed(4);
    $(`.std-${way}`).textContent = found.stds[at][index].toFixed(4);
  });
  const [first, second] = found.histograms[at], top = 1.1 * Math.min(Math.max(...first, ...second), 2500);
  $('.ways .steps').setAttribute('d', steps(first, top));
  $('.ways .jump').setAttribute('d', steps(second, top));
  $('.ways figcaption').textContent = `t = ${found.t[at]}`;
  all('.ways .distance').forEach((one) => { one.textContent = `${(100 * found.distance[at]).toFixed(2)}%`; });
  all('.ways .floor').forEach((one) => { one.textContent = `${(100 * found.floor[at]).toFixed(2)}%`; });
};
const go = (wanted) => {
  t = Math.min(Math.max(wanted, 0), LAST);
  const { snr, beta } = schedules[schedule];
  $('.slider').value = t;
  $('output').textContent = `t = ${t}`;
  all('.cursor').forEach((plot) => plot.style.setProperty('--at', t / LAST));
  $('.betas').textContent = said(beta[t]);
  $('.alphas').textContent = said(sigmoid(snr[t]));
  $('.log_snr').textContent = snr[t].toFixed(2);
  if (x0) mix();
  meet();
};
const choose = (name) => {
  schedule = name;
  all('[data-schedule]').forEach((button) => button.setAttribute('aria-pressed', String(button.dataset.schedule === name)));
  all('.plots svg').forEach((plot) => plot.querySelectorAll('.pg-line').forEach((line, index) => {
    line.style.opacity = names[index] === name ? 1 : '';
    line.style.strokeWidth = names[index] === name ? 3 : '';
  }));
  go(t);
};
const halt = () => { clearInterval(timer); timer = null; $('.play').textContent = '▶'; };
const play = () => {
  $('.play').textContent = '❚❚';
  if (t >= LAST) go(0);
  timer = setInterval(() => {
    if (!element.isConnected || t >= LAST) return halt();
    go(t + 10);
  }, 40);
};
const receive = () => {
  const got = props.value ? JSON.parse(props.value) : null;
  if (!got) return;
  if ('busy' in got) $('.forward').classList.toggle('busy', got.busy);
  if (got.picture) {
    shape = got.picture;
    x0 = Float32Array.from(bytes(shape.x0), (level) => level / 127.5 - 1);
    eps = Float32Array.from(new Int16Array(bytes(shape.eps).buffer), (level) => level / tables.scale);
    paint('x0', x0);
    paint('eps', eps.map((value) => value / 2));
    if (!got.ways) { // those of another picture
      ways = null;
      $('.ready').hidden = false;
      $('.pg-status').innerHTML = '';
    }
  }
  if (got.status !== undefined) $('.pg-status').innerHTML = got.status;
  if (got.ways) {
    ways = got.ways;
    $('.ready').hidden = true;
  }
  go(t);
};
element.addEventListener('input', (event) => {
  if (!event.target.matches('.slider')) return;
  halt();
  go(+event.target.value);
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-schedule]'), film = event.target.closest('.film div');
  if (button) choose(button.dataset.schedule);
  else if (event.target.closest('.play')) timer ? halt() : play();
  else if (film) {
    const box = film.getBoundingClientRect();
    go(ways[schedule].t[Math.min(Math.max(Math.floor(13 * (event.clientX - box.left) / box.width), 0), 12)]);
  }
});
watch('value', receive);
choose(schedule);
receive();
