// Dark or light, before the first paint: a plain script, since modules run
// later. Without a choice of the user's the system decides.
(() => {
  const key = 'quotewire.theme';
  const root = document.documentElement;
  const light = matchMedia('(prefers-color-scheme: light)');
  let chosen = null;
  try {
    chosen = localStorage.getItem(key);
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }
  const apply = () => {
    root.dataset.theme = chosen === 'dark' || chosen === 'light' ? chosen : light.matches ? 'light' : 'dark';
    root.dispatchEvent(new Event('themechange'));
  };
  apply();
  light.addEventListener('change', apply);
  addEventListener('DOMContentLoaded', () => {
    document.getElementById('theme').addEventListener('click', () => {
      chosen = root.dataset.theme === 'dark' ? 'light' : 'dark';
      try {
        localStorage.setItem(key, chosen);
      } catch {
        // as above
      }
      apply();
    });
  });
})();
