. ../missing.sh
. ../openapi-generator.sh
need go
# Without the last option the client refuses every member that a later release adds to an answer.
generate go --git-user-id example --git-repo-id orchflow \
  --additional-properties packageName=orchflow,disallowAdditionalPropertiesIfNotPresent=false
# Its tests want packages of their own.
rm -r client/test
go mod init orchflow-client
go mod edit -require github.com/example/orchflow@v0.0.0 -replace github.com/example/orchflow=./client
go mod tidy
go vet ./...
go run .
