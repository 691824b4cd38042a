// `node build.mjs snippet [directory]` makes funnelcast.js, .mjs and .d.ts; `node build.mjs clients <directory>` bundles
// the clients of other vendors as a site would; `node build.mjs charts [directory]` makes the live page's part of ECharts.

import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, '../../producers/snippet/src');

async function bundled(entry, format) {
  const { outputFiles } = await build({
    entryPoints: [entry], bundle: true, write: false, format, target: 'es2021', charset: 'utf8', legalComments: 'none',
  });
  return outputFiles[0].text;
}

async function snippet(directory = join(source, '../built')) {
  await mkdir(directory, { recursive: true });
  for (const [name, format, output] of [['script', 'iife', 'funnelcast.js'], ['module', 'esm', 'funnelcast.mjs']]) {
    const options = { ecma: 2021, module: true, compress: { passes: 3, unsafe_arrows: true }, format: { ascii_only: true } };
    const text = (await bundled(join(source, `${name}.js`), format)).replace(/\bconst /g, 'let '); // packs better
    const { code } = await minify(text, options);
    await writeFile(join(directory, output), `${code}\n`);
  }
  await copyFile(join(source, 'funnelcast.d.ts'), join(directory, 'funnelcast.d.ts'));
}

async function clients(directory) {
  await mkdir(directory, { recursive: true });
  for (const name of ['segment', 'snowplow', 'posthog'])
    await writeFile(join(directory, `${name}.js`), await bundled(join(here, `clients/${name}.js`), 'iife'));
}

async function charts(directory = join(here, '../../streams/page/static/vendor')) {
  await mkdir(directory, { recursive: true });
  await build({
    entryPoints: [join(here, 'charts.js')], outfile: join(directory, 'echarts.js'), bundle: true, minify: true,
    format: 'esm', target: 'es2021', charset: 'utf8', legalComments: 'none',
    banner: { js: '/*! Apache ECharts 6.1.0 (Apache-2.0), in parts: see LICENSE.txt beside this file. */' },
  });
  for (const [source, name] of [['echarts/LICENSE', 'LICENSE.txt'], ['echarts/NOTICE', 'NOTICE.txt'], ['zrender/LICENSE', 'LICENSE-zrender.txt']])
    await copyFile(join(here, 'node_modules', source), join(directory, name));
}

await { snippet, clients, charts }[process.argv[2]](process.argv[3]);
