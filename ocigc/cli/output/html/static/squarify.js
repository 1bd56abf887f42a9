// Squarified treemaps: M. Bruls, K. Huizing, J. van Wijk, 2000.

/** Boxes {left, top, width, height} for sizes in descending order that fill a box, each as square as it gets. */
function squarify(sizes, box) {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (!(total > 0) || box.width <= 0 || box.height <= 0) return [];
  const scale = (box.width * box.height) / total;
  const areas = sizes.map((size) => size * scale);
  const boxes = [];
  let { left, top, width, height } = box;
  for (let first = 0; first < areas.length; ) {
    const side = Math.max(Math.min(width, height), 1e-9);
    let last = first;
    let sum = areas[first];
    let worst = Infinity;
    while (last < areas.length) {
      const next = last === first ? sum : sum + areas[last];
      const ratio = Math.max((side * side * areas[first]) / (next * next), (next * next) / (side * side * areas[last]));
      if (ratio > worst) break;
      worst = ratio;
      sum = next;
      last += 1;
    }
    const thickness = sum / side;
    let offset = 0;
    for (let number = first; number < last; number += 1) {
      const length = areas[number] / thickness;
      boxes.push(width >= height
        ? { left, top: top + offset, width: thickness, height: length }
        : { left: left + offset, top, width: length, height: thickness });
      offset += length;
    }
    if (width >= height) {
      left += thickness;
      width -= thickness;
    } else {
      top += thickness;
      height -= thickness;
    }
    first = last;
  }
  return boxes;
}

