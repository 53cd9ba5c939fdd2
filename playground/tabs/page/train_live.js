// A click on one of the samples asks for the training pictures that are closest to it.
element.addEventListener('click', (event) => {
  const image = event.target.closest('.shot img[data-num]');
  if (!image) return;
  const box = image.getBoundingClientRect(), { num, columns, rows } = image.dataset;
  const place = (at, size, count) => Math.min(count - 1, Math.max(0, Math.floor(at / size * count)));
  const sample = place(event.clientY - box.top, box.height, +rows) * +columns + place(event.clientX - box.left, box.width, +columns);
  if (sample < +num) trigger('click', { sample });
});
