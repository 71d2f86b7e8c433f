// Equations of the web pages, written $...$ and $$...$$ in the notebooks.
window.MathJax = {tex: {inlineMath: [["$", "$"]], displayMath: [["$$", "$$"]], processEscapes: true}};
