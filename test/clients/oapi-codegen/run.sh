. ../missing.sh
need go
go mod init orchflow-client
go mod edit -require github.com/oapi-codegen/runtime@v1.9.0
mkdir api
go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 \
  -generate types,client -package api -o api/api.go openapi.json
go mod tidy
go vet ./...
go run .
