"use strict";
const parts = (() => {
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties || {});
    element.append(...children);
    return element;
  };
  const options = (select, names, chosen) => {
    names.forEach((name, i) => select.append(make("option", { value: String(i), textContent: name, selected: i === chosen })));
  };

  // A slider between any two of a view's pictures; without this script all of them stand beside each other anyway.
  const addSliders = (within) => within.querySelectorAll("[data-slider]").forEach((place) => {
    const images = [...place.closest(".view").querySelectorAll(".parts img")];
    const names = images.map((image) => image.dataset.name);
    const task = place.dataset.slider;
    const sides = ["left", "right"].map((side) => {
      const picture = make("img");
      const select = make("select", { ariaLabel: task + ": picture to the " + side });
      const wanted = names.indexOf(place.dataset[side]);
      options(select, names, Math.max(0, wanted));
      const show = () => { picture.src = images[select.value].src; picture.alt = images[select.value].alt; };
      select.addEventListener("change", show);
      show();
      return { picture, select };
    });
    const pair = make("div", { className: "pair" }, sides[0].picture, sides[1].picture);
    const range = make("input", { type: "range", min: 0, max: 100, value: 50, step: 1 });
    range.setAttribute("aria-label", task + ": where the left picture ends and the right one begins, in percent");
    const move = () => pair.style.setProperty("--at", range.value + "%");
    range.addEventListener("input", move);
    const drag = (event) => {
      if (event.type === "pointermove" && event.pointerType === "mouse" && !event.buttons) return;
      const box = pair.getBoundingClientRect();
      range.value = Math.round((100 * (event.clientX - box.left)) / box.width);
      move();
    };
    pair.addEventListener("pointerdown", drag);
    pair.addEventListener("pointermove", drag);
    move();
    place.append(pair, range, make("div", { className: "sides" }, sides[0].select, sides[1].select));
    place.classList.add("slider");
  });

  return { make, options, addSliders };
})();
