{
  const tip = document.getElementById("tip");
  const circles = [...document.querySelectorAll("circle[data-point]")];
  const row = (i) => document.getElementById("p" + i);
  const titles = [...document.querySelectorAll("table.points thead th")].map((cell) => cell.textContent);
  const mark = (i, on) => {
    row(i).classList.toggle("under", on);
    for (const circle of circles) if (circle.dataset.point === i) circle.classList.toggle("under", on);
  };
  for (const circle of circles) {
    const i = circle.dataset.point;
    circle.querySelector("title")?.remove(); // the box below says more
    const show = (event) => {
      mark(i, true);
      const cells = [...row(i).cells].slice(0, -1);
      tip.textContent = cells.map((cell, c) => (c ? titles[c] + ": " : "") + cell.textContent).join("\n");
      tip.hidden = false;
      const box = circle.getBoundingClientRect();
      const left = Math.min(box.right + 10, document.documentElement.clientWidth - tip.offsetWidth - 12);
      tip.style.left = left + window.scrollX + "px";
      tip.style.top = box.bottom + 10 + window.scrollY + "px";
    };
    const hide = () => {
      mark(i, false);
      tip.hidden = true;
    };
    circle.addEventListener("mouseenter", show);
    circle.addEventListener("mouseleave", hide);
    circle.parentElement.addEventListener("focus", show);
    circle.parentElement.addEventListener("blur", hide);
    circle.addEventListener("click", () => (row(i).querySelector("details").open = true));
  }
}
