(() => {
  const { make, addSliders } = parts;
  const at = (id) => document.getElementById(id);
  const input = at("file"), drop = at("drop"), state = at("status"), results = at("results"), views = at("views");
  document.querySelectorAll("[data-address]").forEach((one) => { one.textContent = location.origin + location.pathname; });

  const say = (words, wrong) => {
    state.textContent = words;
    state.classList.toggle("wrong", Boolean(wrong));
  };

  // The numbers of a task, and those at a place in words.
  const numbers = (said) => {
    const bytes = Uint8Array.from(atob(said.data), (one) => one.charCodeAt(0));
    const size = { uint8: 1, uint16: 2, float32: 4 }[said.kind], cells = said.height * said.width;
    const view = new DataView(bytes.buffer), count = bytes.length / size / cells;
    const get = { uint8: (i) => view.getUint8(i), uint16: (i) => view.getUint16(2 * i, true), float32: (i) => view.getFloat32(4 * i, true) }[said.kind];
    return (x, y) => {
      const first = (Math.floor(y * said.height) * said.width + Math.floor(x * said.width)) * count;
      const found = Array.from({ length: count }, (_, i) => get(first + i));
      if (said.kind !== "float32") return said.names[found[0]] ?? String(found[0]);
      const shown = found.map((one) => (Number.isNaN(one) ? "not a number" : String(Number(one.toPrecision(3)))));
      if (said.names.length === count) return said.names.map((name, i) => name + " " + shown[i]).join(", ");
      return shown.join(", ") + (said.unit ? " " + said.unit : "");
    };
  };
  const read = (view, said) => {
    const pair = view.querySelector(".pair"), value = numbers(said), output = make("output", { className: "soft" });
    const hint = "point at the picture to read a value";
    output.textContent = hint;
    view.querySelector(".slider").after(output);
    ["pointermove", "pointerdown"].forEach((kind) => pair.addEventListener(kind, (event) => {
      const box = pair.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
      if (x >= 0 && x < 1 && y >= 0 && y < 1) output.textContent = value(x, y);
    }));
    pair.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") output.textContent = hint; });
  };

  let latest = 0;
  const predict = async (file) => {
    const mine = ++latest, most = Number(input.dataset.megabytes);
    if (!file) return say("That was no file: drop a picture that is stored as one.", true);
    if (file.size > most * 1e6) return say(file.name + " has " + (file.size / 1e6).toFixed(1) + " MB, more than " + most + ": shrink it.", true);
    say("Predicting " + file.name + " …");
    results.setAttribute("aria-busy", "true");
    let answer = null, said = null, wrong = "";
    try {
      answer = await fetch("view", { method: "POST", body: file, headers: { "content-type": "application/octet-stream" } });
      said = await answer.json();
      if (!answer.ok) wrong = file.name + ": " + said.error;
    } catch {
      wrong = answer ? "The server's answer cannot be read (" + answer.status + ")." : "No answer: does mtpsl serve still run?";
    }
    if (mine !== latest) return;
    results.setAttribute("aria-busy", "false");
    if (wrong) return say(wrong, true);
    views.innerHTML = said.html;
    at("name").textContent = file.name;
    results.hidden = false;
    addSliders(views);
    views.querySelectorAll(".view").forEach((view, i) => read(view, said.values[i]));
    say(file.name + ": " + said.size[1] + " × " + said.size[0] + " pixels, predicted in " + said.seconds.toFixed(2) + " s");
  };

  input.addEventListener("change", () => { if (input.files.length) predict(input.files[0]); });
  input.addEventListener("click", () => { input.value = ""; });
  addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); input.value = ""; predict(event.dataTransfer.files[0]); });
  addEventListener("paste", (event) => { if (event.clipboardData.files.length) { input.value = ""; predict(event.clipboardData.files[0]); } });
})();
