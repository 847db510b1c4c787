// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Packs the folder DIR to OUT with a library of the folder NPM.
const fs = require('fs'), path = require('path')
const {DIR, OUT, NPM} = process.env
const lib = name => require(`${NPM}/${name}`)
const files = fs.readdirSync(DIR, {recursive: true, withFileTypes: true}).filter(e => e.isFile())
  .map(e => path.relative(DIR, path.join(e.parentPath ?? e.path, e.name))).sort()
const read = name => fs.readFileSync(path.join(DIR, name))

;({
  jszip: async options => {
    const zip = new (lib('jszip/dist/jszip.js'))()
    for (const f of files) zip.file(f, read(f))
    return zip.generateAsync({type: 'nodebuffer', ...options})
  },
  fflate: async () => Buffer.from(lib('fflate/lib/node.cjs').zipSync(Object.fromEntries(files.map(f => [f, read(f)])))),
  'adm-zip': async () => {
    const zip = new (lib('adm-zip/adm-zip.js'))()
    zip.addLocalFolder(DIR)
    return zip.toBuffer()
  },
})[process.argv[2]](JSON.parse(process.argv[3] ?? '{}')).then(raw => fs.writeFileSync(OUT, raw))
