// The Train tab's film: the component's value is JSON with a sprite of samples; the slider moves its background.
// The skeleton is never drawn again, so a slider under the finger stays where it is while new moments arrive.
const $ = (name) => element.querySelector(name);
let film = null, place = null, timer = null;  // place: null follows the latest moment
const show = () => {
  if (!film) return;
  const last = film.steps.length - 1, at = place === null ? last : Math.min(place, last), range = $('input');
  range.max = last; range.value = at;
  $('output').textContent = film.steps[at].toLocaleString();
  $('.frame').style.backgroundPosition = `0 ${last ? 100 * at / last : 0}%`;
  const axis = $('.plot .pg-axis');
  if (!axis) return;
  const box = axis.getBBox(), width = axis.ownerSVGElement.viewBox.baseVal.width;
  $('.cursor').style.left = `${100 * (box.x + box.width * film.steps[at] / film.end) / width}%`;
};
const halt = () => { clearInterval(timer); timer = null; $('button').textContent = '▶'; };
const play = () => {
  place = 0; show(); $('button').textContent = '❚❚';
  timer = setInterval(() => {
    place += 1;
    if (place >= film.steps.length - 1) { place = null; halt(); }
    show();
  }, Math.max(120, 6000 / film.steps.length));
};
const receive = () => {
  film = props.value ? JSON.parse(props.value) : null;
  $('.film').hidden = !film;
  if (!film) return;
  $('.about').innerHTML = film.about;
  $('.plot div').innerHTML = film.curves;
  $('.reel').classList.toggle('bare', !film.curves);
  $('.frame').style.backgroundImage = `url(${film.sprite})`;
  $('.frame').style.backgroundSize = `100% ${100 * film.steps.length}%`;
  if (film.play && !timer) play();
  show();
};
element.addEventListener('input', (event) => {
  halt();
  place = +event.target.value >= +event.target.max ? null : +event.target.value;
  show();
});
element.addEventListener('click', (event) => {
  if (event.target.closest('button')) timer ? halt() : play();
});
watch('value', receive);
receive();
