// Each slider shows one task in the figures around it; a run with fewer tasks stays at its last.
for (const stepper of document.querySelectorAll("[data-stepper]")) {
  const slider = stepper.querySelector("input");
  const shown = stepper.querySelector("output");
  const show = () => {
    shown.value = slider.value;
    for (const figure of stepper.querySelectorAll("figure")) {
      const steps = [...figure.querySelectorAll("[data-task]")];
      const last = Math.max(...steps.map((step) => Number(step.dataset.task)));
      const task = Math.min(Number(slider.value), last);
      for (const step of steps) step.hidden = Number(step.dataset.task) !== task;
    }
  };
  slider.addEventListener("input", show);
  stepper.querySelector(".slider").hidden = false;
  show();
}
