. ../missing.sh
. ../openapi-generator.sh
need go
generate go --additional-properties packageName=orchflow --git-user-id example --git-repo-id orchflow
# Its tests want packages of their own.
rm -r client/test
go mod init orchflow-client
go mod edit -require github.com/example/orchflow@v0.0.0 -replace github.com/example/orchflow=./client
go mod tidy
go vet ./...
go run .
