
// Shows the values at the pointer. Sets them as text, never as markup.
document.querySelectorAll("figure.plot").forEach(figure => {
  const svg = figure.querySelector("svg"), tip = figure.querySelector(".tip"), rule = svg.querySelector(".rule");
  const curves = [...svg.querySelectorAll("path[data-x]")].map(path => ({
    name: path.dataset.name,
    places: path.dataset.x.split(" ").map(Number),
    steps: path.dataset.s.split(" "),
    values: path.dataset.v.split("|"),
  }));
  const hide = () => {
    tip.hidden = true;
    rule.style.display = "none";
  };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale;
    const distance = (curve, i) => Math.abs(curve.places[i] - x);
    const nearest = curves.map(curve =>
      curve.places.reduce((best, place, i) => distance(curve, i) < distance(curve, best) ? i : best, 0));
    const least = Math.min(...curves.map((curve, k) => distance(curve, nearest[k])));
    if (least > 40) return hide();
    let place = 0;
    tip.textContent = "";
    curves.forEach((curve, k) => {
      if (distance(curve, nearest[k]) > least + 8) return;  // a shorter curve
      place = curve.places[nearest[k]];
      const line = document.createElement("div");
      line.textContent = `step ${curve.steps[nearest[k]]}${curve.name ? ", " + curve.name : ""}: ${curve.values[nearest[k]]}`;
      tip.append(line);
    });
    tip.hidden = false;
    rule.style.display = "inline";
    rule.setAttribute("transform", `translate(${place})`);
    const left = place / scale + box.left - figure.getBoundingClientRect().left + 12;
    tip.style.left = Math.max(0, Math.min(left, figure.clientWidth - tip.offsetWidth - 4)) + "px";
  });
});
