// q(z|x) of a drawing as it is drawn: a bell for every dimension over the prior's, moving from where it was.
const $ = (name) => element.querySelector(name);
let target = null, now = null, frame = null;
const still = matchMedia('(prefers-reduced-motion: reduce)');
const WIDE = 3.6, HIGH = 52, POINTS = 72;
const bell = (mu, std, peak) => {
  const path = [];
  for (let i = 0; i <= POINTS; i++) {
    const z = WIDE * (2 * i / POINTS - 1), y = Math.exp(-0.5 * ((z - mu) / std) ** 2) * peak;
    path.push(`${i ? 'L' : 'M'}${(100 * i / POINTS).toFixed(1)} ${(HIGH - y).toFixed(1)}`);
  }
  return path.join('');
};
const PRIOR = bell(0, 1, 18);
const peakOf = (std) => Math.min(18 / std, HIGH - 4);
const tile = (dim) => {
  const made = document.createElement('div');
  made.className = 'dim';
  made.innerHTML = `<svg viewBox="0 0 100 ${HIGH}" aria-hidden="true"><path class="prior" d="${PRIOR}"/><path class="q"/></svg>`
    + `<span>z<sub>${dim}</sub></span><output></output>`;
  return made;
};
const draw = () => {
  element.querySelectorAll('.dim').forEach((made, index) => {
    const mu = now.mu[index], std = now.std[index];
    made.querySelector('.q').setAttribute('d', bell(mu, std, peakOf(std)));
    made.querySelector('output').textContent = `${mu.toFixed(2).replace('-', '−')} ± ${std.toFixed(2)}`;
  });
};
const step = () => {
  let left = 0;
  for (const key of ['mu', 'std']) {
    now[key] = now[key].map((value, index) => {
      const gap = target[key][index] - value;
      left = Math.max(left, Math.abs(gap));
      return value + 0.3 * gap;
    });
  }
  draw();
  frame = left > 0.004 && element.isConnected ? requestAnimationFrame(step) : null;
};
const receive = () => {
  const got = props.value ? JSON.parse(props.value) : null;
  if (!got) return;
  $('.ready').hidden = true;
  $('.body').hidden = false;
  for (const key of ['x', 'again']) {
    $(`img.${key}`).src = got[key];
  }
  $('.cost').innerHTML = got.cost;
  $('.label').innerHTML = got.label;
  $('.terms').innerHTML = got.terms;
  $('.dims-note').innerHTML = got.note;
  const dims = $('.dims');
  if (dims.dataset.of !== got.of) {
    dims.dataset.of = got.of;
    dims.replaceChildren(...got.dims.map(tile));
    now = null;
  }
  target = { mu: got.mu, std: got.std };
  if (now === null || still.matches) {
    now = { mu: [...got.mu], std: [...got.std] };
    draw();
  } else if (frame === null) {
    frame = requestAnimationFrame(step);
  }
};
watch('value', receive);
receive();
