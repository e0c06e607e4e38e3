. ../missing.sh
need npm
npm ci --silent --ignore-scripts || skip 'npm gives no packages'
npx openapi-typescript openapi.json --output api.d.ts
npx tsc --strict --exactOptionalPropertyTypes --noEmit --module nodenext --target es2024 --allowImportingTsExtensions flow.ts
node flow.ts
