module github.com/ossldtls/ossldtls

go 1.24

require (
	github.com/stretchr/testify v1.12.1
	golang.org/x/net v0.43.0
	golang.org/x/sys v0.35.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect
