/* vite.config.ts - Builds a page to one file: script and style inlined and allowed by hash, nothing else. The mode `fractal`
 * builds fractal.html, others the dashboard, index.html. */
import { createHash } from "node:crypto";
import { defineConfig } from "vite";
import type { Plugin } from "vite";

const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/* Moves the bundle's script and style into the page. The policy lists their hashes, so that a page that was tampered
 * with or text that was injected does not run; everything the page may reach is its own origin. */
function oneFile(page: string): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    apply: "build",
    generateBundle(_options, bundle) {
      const html = bundle[page];
      if (html?.type !== "asset") throw new Error(`no ${page} in the bundle`);
      let script = "";
      let style = "";
      for (const [name, item] of Object.entries(bundle)) {
        if (item.type === "chunk") script += item.code.trim();
        else if (name.endsWith(".css")) style += String(item.source).trim();
        else continue;
        delete bundle[name];
      }
      if (/<\/(script|style)/i.test(script + style)) throw new Error("the bundle would end its own element");
      const policy = [
        "default-src 'none'",
        `script-src ${hash(script)}`,
        `style-src ${hash(style)}`,
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
      ].join("; ");
      html.source = String(html.source)
        .replace(/\s*<script[^>]*><\/script>/g, "")
        .replace(/\s*<link rel="(stylesheet|modulepreload)"[^>]*>/g, "")
        .replace("<head>", () => `<head>\n    <meta http-equiv="Content-Security-Policy" content="${policy}" />`)
        .replace("</head>", () => `<style>${style}</style>\n  </head>`)
        .replace("</body>", () => `<script type="module">${script}</script>\n  </body>`);
    },
  };
}

export default defineConfig(({ mode }) => {
  const page = mode === "fractal" ? "fractal.html" : "index.html";
  return {
    plugins: [oneFile(page)],
    build: {
      target: "es2021",
      modulePreload: false,
      cssCodeSplit: false,
      assetsInlineLimit: 1 << 20,
      chunkSizeWarningLimit: 200,
      emptyOutDir: page === "index.html",
      rollupOptions: { input: page },
    },
  };
});
