module github.com/ossldtls/ossldtls

go 1.24

