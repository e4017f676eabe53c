/* What is started: does nothing, so that only the start is measured. */
int main(void)
{
	return 0;
}
