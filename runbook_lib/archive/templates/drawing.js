// Draws each figure when it comes into view; the still picture stays where that fails.
(function () {
  function draw(chart) {
    var told = JSON.parse(document.getElementById(chart.dataset.figure).textContent);
    var ink = getComputedStyle(document.body).color;
    told.layout.font = Object.assign({}, told.layout.font, { color: ink });
    Plotly.newPlot(chart, told.data, told.layout, told.config).then(function () { chart.parentNode.classList.add("drawn"); });
  }
  var charts = Array.from(document.querySelectorAll(".chart"));
  if (!("IntersectionObserver" in window)) { charts.forEach(draw); return; }
  var seen = new IntersectionObserver(function (entries) {
    entries.filter(function (entry) { return entry.isIntersecting; }).forEach(function (entry) {
      seen.unobserve(entry.target);
      draw(entry.target);
    });
  }, { rootMargin: "400px" });
  charts.forEach(function (chart) { chart.style.minHeight = "1px"; seen.observe(chart); });
})();
