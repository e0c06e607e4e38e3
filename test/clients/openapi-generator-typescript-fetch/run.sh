. ../missing.sh
. ../openapi-generator.sh
need npm
npm ci --silent --ignore-scripts || skip 'npm gives no packages'
generate typescript-fetch --additional-properties importFileExtension=.ts
npx tsc --strict --noEmit --module nodenext --target es2024 --allowImportingTsExtensions flow.ts
npx tsc --module nodenext --target es2024 --rewriteRelativeImportExtensions --outDir build flow.ts
node build/flow.js
