// A page that looks like a comment on GitHub: render.cjs FILE.md light|dark PAGE.html
const fs = require("fs");
const path = require("path");
const markdown = require("markdown-it")({ html: true, linkify: true });
const [, , input, look, page] = process.argv;

// markdown-it's tables and strikethrough are GitHub's; its own style of alignment is too.
const body = markdown.render(fs.readFileSync(input, "utf8"));
const folder = path.dirname(require.resolve("github-markdown-css/package.json"));
const css = fs.readFileSync(path.join(folder, `github-markdown-${look}.css`), "utf8");
const [edge, ground, head] = look === "dark" ? ["#3d444d", "#0d1117", "#151b23"] : ["#d1d9e0", "#ffffff", "#f6f8fa"];
// What stands above it on GitHub's page, by what is shown.
const name = path.basename(input, ".md");
const above = { comment: "<b>github-actions</b> bot commented", check: "<b>image-action</b> / a check run", summary: "<b>Summary</b> of a job" };
const open = process.env.OPEN_DETAILS ? "document.querySelectorAll('details').forEach(d => d.open = true);" : "";

fs.writeFileSync(page, `<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>${css}
body { margin: 0; padding: 16px; background: ${ground}; }
.box { border: 1px solid ${edge}; border-radius: 6px; overflow: hidden; }
.by { background: ${head}; border-bottom: 1px solid ${edge}; padding: 8px 16px; font: 14px "Liberation Sans", sans-serif;
      color: ${look === "dark" ? "#9198a1" : "#59636e"}; }
.markdown-body { padding: 16px; font-size: 14px; }
</style>
<div class="box"><div class="by">${above[name] ?? name}</div><div class="markdown-body">${body}</div></div>
<script>${open}
document.documentElement.dataset.height = Math.ceil(document.querySelector(".box").getBoundingClientRect().height + 32);
</script>`);
